// What Grafana would show of pages, by Grafana's own libraries: each query is asked of a live Prometheus, its answer
// becomes frames as Grafana's data source makes them, and @grafana/data transforms, names, formats and colours them.
// Ours are stand-ins: frames of answers, values of variables, repeats, default thresholds. Cases come in on stdin.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dressing } from './data.mjs';
import { answersOf, framesOf, interpolated, repeats } from './source.mjs';

const require = createRequire(import.meta.url); // @grafana/data runs in Node as CommonJS only
globalThis.navigator ??= { language: 'en-US', languages: ['en-US'] };
const grafana = require('@grafana/data');
globalThis.window ??= globalThis; // after the library: it takes it for a browser; transformations look for its settings
const { getFieldDisplayValues, getFieldDisplayName, getValueFormats, FieldType } = grafana;
const { theme, colors, transformed, fielded, unknownProperties } = dressing(grafana);
const units = new Set(getValueFormats().flatMap((group) => group.submenu.map((one) => one.value)));

async function lookAt(panel, variables, asked) {
  const seen = { title: interpolated(panel.title, variables), kind: panel.type, errors: [], series: 0, values: [] };
  const { answers, errors } = await answersOf(panel.targets, variables, asked);
  seen.errors.push(...errors);
  let frames = framesOf(answers);
  seen.series = frames.filter((frame) => frame.length).length;
  frames = await transformed(frames, panel.transformations ?? []);
  const fields = fielded(panel.fieldConfig, frames, (text) => interpolated(text, variables));
  seen.values = panel.type === 'stat' ? figures(panel, fields) : newest(panel, fields);
  return seen;
}

function figures(panel, frames) {
  return getFieldDisplayValues({
    data: frames, fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text,
    theme, timeZone: 'utc', sparkline: false,
  }).filter((one) => one.view !== undefined || one.rowIndex !== undefined || one.colIndex !== undefined)
    .map(({ display }) => told(display.title ?? '', display));
}

function newest(panel, frames) {
  return frames.flatMap((frame) => frame.fields
    .filter((field) => field.type !== FieldType.time)
    .flatMap((field) => {
      const values = panel.type === 'table' ? [...field.values] : [...field.values].filter((v) => v !== null).slice(-1);
      const name = getFieldDisplayName(field, frame, frames);
      return values.map((value) => told(name, field.display(value), value));
    }));
}

function told(name, display, raw) {
  const text = [display.prefix, display.text, display.suffix].filter(Boolean).join('');
  return { name, text, color: colors[display.color] ?? display.color ?? '', raw: raw ?? display.numeric };
}

function unitsOf(panel) {
  const said = [panel.fieldConfig.defaults.unit, ...panel.fieldConfig.overrides.flatMap((one) => one.properties)
    .map((one) => (one.id === 'unit' || one.unit ? one.value ?? one.unit : undefined))];
  const wrong = said.filter((unit) => unit !== undefined && !units.has(unit) && !unit.startsWith('suffix:'));
  return [...wrong, ...unknownProperties(panel.fieldConfig)];
}

async function panelOf(panel, variables, asked) {
  const unknown = unitsOf(panel);
  try {
    return { ...await lookAt(panel, variables, asked), unknown };
  } catch (error) {
    return { title: panel.title, kind: panel.type, errors: [String(error)], series: 0, values: [], unknown };
  }
}

async function pageOf(page, given, asked) {
  const shown = [];
  for (const panel of page.panels.filter((one) => one.type !== 'row')) {
    for (const variables of await repeats(panel, page, given, asked)) shown.push(panelOf(panel, variables, asked));
  }
  const annotations = page.annotations.list.map(async (one) => {
    const { answers, errors } = await answersOf([{ refId: one.name, expr: one.expr }], given, asked);
    return { title: one.name, errors, series: answers[0]?.result.length ?? 0 };
  });
  return { panels: await Promise.all(shown), annotations: await Promise.all(annotations) };
}

const { prometheus, login, cases } = JSON.parse(readFileSync(0, 'utf8'));
const found = {};
for (const one of cases) {
  const asked = { prometheus, login, from: one.from, to: one.to, step: one.step };
  found[one.name] = {};
  for (const [name, page] of Object.entries(one.pages)) found[one.name][name] = await pageOf(page, one.variables, asked);
}
process.stdout.write(JSON.stringify(found));
