// The frames of each panel of pages, and when something was broken: what draw.jsx draws. The question comes in on stdin.
import { readFileSync } from 'node:fs';
import { answersOf, framesOf, interpolated, repeats } from './source.mjs';

async function pageOf(page, given, asked) {
  const panels = [];
  for (const panel of page.panels) {
    for (const [place, variables] of (await repeats(panel, page, given, asked)).entries()) {
      const { answers, errors } = await answersOf(panel.targets ?? [], variables, asked);
      panels.push({ panel, place, variables, errors, title: interpolated(panel.title, variables), frames: framesOf(answers) });
    }
  }
  const marks = [];
  for (const { name, iconColor, expr } of page.annotations.list) {
    const { answers } = await answersOf([{ refId: name, expr }], given, asked);
    const times = (answers[0]?.result ?? []).flatMap(({ values }) => values.map(([at]) => at));
    marks.push(...spans([...new Set(times)].sort((a, b) => a - b), asked.step).map(([from, to]) => ({ iconColor, from, to })));
  }
  return { title: page.title, description: page.description, from: asked.from, to: asked.to, panels, marks };
}

function spans(times, step) {
  const found = [];
  for (const at of times) {
    const last = found.at(-1);
    if (last && at - last[1] <= 2 * step) last[1] = at;
    else found.push([at, at]);
  }
  return found;
}

const { pages, variables, ...asked } = JSON.parse(readFileSync(0, 'utf8'));
const found = {};
for (const [name, page] of Object.entries(pages)) found[name] = await pageOf(page, variables, asked);
process.stdout.write(JSON.stringify(found));
