// What a running Grafana has in its registries, and what it makes of frames before a panel shows them: transformations,
// matchers of overrides and display are @grafana/data's; the properties of fields and the defaults are ours.
// `grafana` is that library: Node needs it as CommonJS, a browser as modules.

const PROPERTIES = ['displayName', 'unit', 'min', 'max', 'decimals', 'noValue', 'color', 'mappings', 'thresholds', 'links'];
const CUSTOM = ['drawStyle', 'lineWidth', 'fillOpacity', 'fillBelowTo', 'lineStyle', 'showPoints', 'spanNulls', 'axisPlacement',
  'thresholdsStyle', 'hideFrom', 'align', 'cellOptions', 'width'];
const COLORS = ['green', 'orange', 'red', 'blue', 'purple', 'yellow', 'text'];

export function dressing(grafana) {
  const { Registry, standardTransformers, standardTransformersRegistry, createTheme, applyFieldOverrides, transformDataFrame } = grafana;
  const theme = createTheme();
  const properties = new Registry(() => [
    ...PROPERTIES.map((name) => property(name, name, false)),
    ...CUSTOM.map((name) => property(`custom.${name}`, name, true)),
  ]);
  const byId = new Map(Object.values(standardTransformers).map((one) => [one.id, one]));
  standardTransformersRegistry.setInit(() => [...byId].map(([id, transformation]) => ({ id, name: id, transformation: async () => transformation })));

  function transformed(frames, changes) {
    return new Promise((resolve, reject) => {
      transformDataFrame(changes, frames).subscribe({ next: resolve, error: reject });
    });
  }

  function fielded(fieldConfig, frames, replaceVariables) {
    const config = structuredClone(fieldConfig);
    for (const one of [config.defaults, ...config.overrides.flatMap((o) => o.properties.map((p) => ({ thresholds: p.value })))]) {
      for (const step of one.thresholds?.steps ?? []) step.value ??= -Infinity;
    }
    // What Grafana has when a panel says nothing.
    config.defaults.thresholds ??= { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }] };
    config.defaults.color ??= { mode: 'thresholds' };
    return applyFieldOverrides({ data: frames, fieldConfig: config, fieldConfigRegistry: properties, theme, timeZone: 'utc', replaceVariables });
  }

  function unknownProperties(fieldConfig) {
    const known = new Set(properties.list().map((one) => one.id));
    const custom = Object.keys(fieldConfig.defaults.custom ?? {}).map((name) => `custom.${name}`);
    const asked = [...custom, ...fieldConfig.overrides.flatMap((one) => one.properties.map((p) => p.id))];
    return asked.filter((id) => !known.has(id));
  }

  const colors = Object.fromEntries(COLORS.map((name) => [theme.visualization.getColorByName(name), name]));
  return { theme, colors, transformed, fielded, unknownProperties };
}

function property(id, path, isCustom) {
  return { id, path, name: id, isCustom, settings: {}, process: (value) => value, shouldApply: () => true };
}
