// A page, drawn with Grafana's component library, not in Grafana. What is given was made by ask.mjs.
// Ours, because it lives in Grafana's core: the grid, state timelines (strips), marks of annotations, defaults of curves.
import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import 'uplot/dist/uPlot.min.css';
import '@grafana/react-data-grid/lib/styles.css';
import React from 'react';
import { createRoot } from 'react-dom/client';
import * as grafana from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, ThemeContext, TimeSeries } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { dressing } from './data.mjs';
import { interpolated } from './source.mjs';

const { theme, transformed, fielded } = dressing(grafana);
const WIDTH = 1580, COLUMNS = 24, ROW = 30, GAP = 8, HEAD = 58;
const CURVE = {
  lineInterpolation: 'linear', pointSize: 5, gradientMode: 'none', axisColorMode: 'text', axisBorderShow: false,
  scaleDistribution: { type: 'linear' }, stacking: { mode: 'none', group: 'A' }, hideFrom: { legend: false, tooltip: false, viz: false },
};

const MARKED = new WeakSet(); // curves are rendered more than once

const colored = (name) => theme.visualization.getColorByName(name);

function Stat({ panel, frames, width, height }) {
  const { reduceOptions, colorMode, graphMode, justifyMode, textMode } = panel.options;
  const [one] = grafana.getFieldDisplayValues({
    data: frames, fieldConfig: panel.fieldConfig, reduceOptions, replaceVariables: (text) => text, theme, timeZone: 'utc', sparkline: true,
  });
  return <BigValue {...{ theme, width, height, colorMode, graphMode, justifyMode, textMode }} value={one.display} sparkline={one.sparkline} />;
}

function Curves({ panel, frames, width, height, given }) {
  const timeRange = { from: grafana.dateTime(given.from * 1000), to: grafana.dateTime(given.to * 1000), raw: { from: '', to: '' } };
  const mark = (u) => {
    for (const { from, to, iconColor } of given.marks) {
      const [left, right] = [from, to].map((at) => u.valToPos(at * 1000, 'x', true));
      u.ctx.fillStyle = grafana.colorManipulator.alpha(colored(iconColor), 0.1);
      u.ctx.fillRect(left, u.bbox.top, right - left, u.bbox.height);
      u.ctx.fillStyle = colored(iconColor);
      u.ctx.fillRect(left, u.bbox.top, 1, u.bbox.height);
    }
  };
  return (
    <TimeSeries {...{ frames, width, height, timeRange }} timeZone="utc" legend={panel.options.legend}>
      {(builder) => { if (!MARKED.has(builder)) builder.addHook('drawClear', mark); MARKED.add(builder); return null; }}
    </TimeSeries>
  );
}

function Rows({ panel, frames, width, height }) {
  const { sortBy, cellHeight } = panel.options;
  return <TableNG {...{ width, height, sortBy, cellHeight }} data={frames[0]} fieldConfig={panel.fieldConfig} enableVirtualization={false} />;
}

function Strips({ frames, width, height, given }) {
  const named = Math.min(130, width / 4), each = Math.min(38, height / frames.length), span = given.to - given.from;
  return frames.map((frame, row) => {
    const [times, states] = frame.fields;
    const parts = [];
    times.values.forEach((at, place) => {
      const shown = states.display(states.values[place]);
      if (parts.at(-1)?.text !== shown.text) parts.push({ ...shown, from: at });
      parts.at(-1).to = times.values[place + 1] ?? at;
    });
    const name = grafana.getFieldDisplayName(states, frame, frames);
    return (
      <div key={row} style={{ position: 'absolute', top: row * each, height: each - 4, width }}>
        <span style={{ position: 'absolute', width: named - 8, textAlign: 'right', fontSize: 12, lineHeight: `${each - 4}px`, overflow: 'hidden' }}>{name}</span>
        {parts.map(({ text, suffix, color, from, to }) => {
          const left = named + ((from / 1000 - given.from) / span) * (width - named);
          const wide = Math.max(1, ((to - from) / 1000 / span) * (width - named));
          const style = { position: 'absolute', left, width: wide, height: each - 4, background: color, color: '#111', fontSize: 11, lineHeight: `${each - 4}px`, overflow: 'hidden', whiteSpace: 'nowrap' };
          return <span key={from} className="strip" style={style}>{wide > 40 ? ` ${text}${suffix ?? ''}` : ''}</span>;
        })}
      </div>
    );
  });
}

const KINDS = { stat: Stat, timeseries: Curves, table: Rows, 'state-timeline': Strips };

function boxOf({ panel, place, pushed }) {
  const { x, y, w, h } = panel.gridPos, perRow = panel.maxPerRow ?? 1, cell = (WIDTH + GAP) / COLUMNS;
  const down = y + pushed + Math.floor(place / perRow) * h, along = x + (place % perRow) * w;
  return { position: 'absolute', left: along * cell, top: HEAD + down * (ROW + GAP), width: w * cell - GAP, height: h * (ROW + GAP) - GAP };
}

function Panel({ one, given }) {
  const { panel, title, frames } = one, box = boxOf(one);
  if (panel.type === 'row') return <h5 style={{ ...box, margin: 0 }}>{title}</h5>;
  const Kind = KINDS[panel.type];
  const empty = !frames.some((frame) => frame.length);
  return (
    <section data-title={title} data-kind={panel.type} data-empty={empty} style={box}>
      <PanelChrome title={title} width={box.width} height={box.height} padding={panel.type === 'table' ? 'none' : 'md'}>
        {(width, height) => (empty
          ? <div style={{ width, height, display: 'grid', placeItems: 'center', color: theme.colors.text.secondary }}>No data</div>
          : <div style={{ position: 'relative', width, height }}><Kind {...{ panel, frames, width, height, given }} /></div>)}
      </PanelChrome>
    </section>
  );
}

// How far down the repeats of panels above push one.
function pushedBy(panels, { panel }) {
  return panels.filter(({ place, panel: above }) => place && place % above.maxPerRow === 0 && above.gridPos.y < panel.gridPos.y)
    .reduce((sum, { panel: above }) => sum + above.gridPos.h, 0);
}

async function dressed(one) {
  if (one.panel.type === 'row') return one;
  const panel = structuredClone(one.panel);
  if (panel.type === 'timeseries') panel.fieldConfig.defaults.custom = { ...CURVE, ...panel.fieldConfig.defaults.custom };
  const said = (text) => interpolated(text, one.variables);
  panel.fieldConfig = JSON.parse(said(JSON.stringify(panel.fieldConfig)));
  const frames = fielded(panel.fieldConfig, await transformed(one.frames, panel.transformations ?? []), said);
  for (const frame of frames) for (const field of frame.fields) grafana.getFieldDisplayName(field, frame, frames); // fields keep it
  return { ...one, panel, frames };
}

function Page({ given, panels }) {
  const bottom = Math.max(...panels.map((one) => boxOf(one)).map(({ top, height }) => top + height));
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <main style={{ position: 'relative', width: WIDTH, height: bottom, margin: GAP, fontFamily: theme.typography.fontFamily, color: theme.colors.text.primary }}>
        <h4 style={{ margin: 0 }}>{given.title}</h4>
        <p style={{ margin: 0, color: theme.colors.text.secondary, fontSize: 13 }}>
          {given.description} <b>Drawn with Grafana's component library, not in Grafana.</b>
        </p>
        {panels.map((one, place) => <Panel key={place} one={one} given={given} />)}
      </main>
    </ThemeContext.Provider>
  );
}

async function draw(given) {
  document.body.style.background = theme.colors.background.canvas;
  await Promise.all(['400', '500'].map((weight) => document.fonts.load(`${weight} 12px Inter`)));
  const panels = await Promise.all(given.panels.map((one) => dressed({ ...one, pushed: pushedBy(given.panels, one) })));
  root?.unmount();
  root = createRoot(document.body.appendChild(document.createElement('div')));
  root.render(<Page given={given} panels={panels} />);
  await new Promise((done) => setTimeout(done, 500)); // icons and curves come after the rest
}

let root;

window.draw = draw;
