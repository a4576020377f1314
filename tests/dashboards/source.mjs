// Stand-ins for Grafana's Prometheus data source and its variables: what it asks, and the frames that it makes of answers.

const ALL = '.*';

export function interpolated(text, variables) {
  return text.replace(/\$\{?(\w+)(?::\w+)?\}?/g, (whole, name) => (name in variables ? variables[name] : whole));
}

export async function ask(path, parameters, { prometheus, login }) {
  const headers = login ? { authorization: `Basic ${Buffer.from(login).toString('base64')}` } : {};
  const answer = await fetch(`${prometheus}${path}?${new URLSearchParams(parameters)}`, { headers });
  const body = await answer.json();
  if (body.status !== 'success') throw new Error(`${body.errorType}: ${body.error}`);
  return body.data;
}

export async function answersOf(targets, variables, asked) {
  const answers = [], errors = [];
  for (const target of targets) {
    const query = interpolated(target.expr, variables);
    try {
      const data = target.instant
        ? await ask('/api/v1/query', { query, time: asked.to }, asked)
        : await ask('/api/v1/query_range', { query, start: asked.from, end: asked.to, step: asked.step }, asked);
      answers.push({ target, several: targets.length > 1, ...data });
    } catch (error) {
      errors.push(`${query}: ${error.message}`);
    }
  }
  return { answers, errors };
}

// The values of the variable that a panel is repeated by: those that there are now.
export async function repeats(panel, page, given, asked) {
  if (!panel.repeat) return [given];
  const variable = page.templating.list.find((one) => one.name === panel.repeat);
  const [, metric] = interpolated(variable.definition, given).match(/^label_values\((.+), \w+\)$/);
  const series = await ask('/api/v1/series', { 'match[]': metric, start: asked.from, end: asked.to }, asked);
  const values = [...new Set(series.map((one) => one[panel.repeat]))].sort();
  const chosen = given[panel.repeat];
  return values.filter((value) => new RegExp(`^(${chosen ?? ALL})$`).test(value)).map((value) => ({ ...given, [panel.repeat]: value }));
}

export function framesOf(answers) {
  return answers.flatMap((answer) => (answer.target.instant ? [tableOf(answer)] : answer.result.map((one) => curveOf(answer, one))));
}

function curveOf({ target }, { metric, values }) {
  const { __name__: name, ...labels } = metric;
  const said = target.legendFormat && target.legendFormat !== '__auto'
    ? target.legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '')
    : name ?? (Object.keys(labels).length ? Object.values(labels).join(' ') : target.expr);
  return {
    refId: target.refId, name: said, length: values.length,
    fields: [
      { name: 'Time', type: 'time', config: {}, values: values.map(([at]) => at * 1000) },
      { name: 'Value', type: 'number', config: { displayNameFromDS: said }, labels, values: values.map(([, value]) => Number(value)) },
    ],
  };
}

function tableOf({ target, several, result }) {
  const labels = [...new Set(result.flatMap((one) => Object.keys(one.metric)))].filter((name) => name !== '__name__').sort();
  return {
    refId: target.refId, length: result.length,
    fields: [
      { name: 'Time', type: 'time', config: {}, values: result.map((one) => one.value[0] * 1000) },
      ...labels.map((label) => ({ name: label, type: 'string', config: { filterable: true }, values: result.map((one) => one.metric[label] ?? '') })),
      { name: several ? `Value #${target.refId}` : 'Value', type: 'number', config: {}, values: result.map((one) => Number(one.value[1])) },
    ],
  };
}
