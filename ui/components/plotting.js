// What every chart of the page shares; it stands in front of the chart's own script, which names its `section` first.
// Plotly is fetched once, from this app, whoever asks first.
const SHAPES = {
  circle: '<circle cx="7" cy="7" r="4.6"/>',
  square: '<rect x="2.6" y="2.6" width="8.8" height="8.8"/>',
  diamond: '<path d="M7 1 13 7 7 13 1 7Z"/>',
  'triangle-up': '<path d="M7 1.6 12.8 12H1.2Z"/>',
  'triangle-down': '<path d="M7 12.4 1.2 2h11.6Z"/>',
  pentagon: '<path d="M7 1 13 5.4 10.7 12.5H3.3L1 5.4Z"/>',
  hexagon: '<path d="M4 1.8h6L13 7l-3 5.2H4L1 7Z"/>',
  cross: '<path d="M5 1h4v4h4v4H9v4H5V9H1V5h4Z"/>',
};

const token = (name) => getComputedStyle(section).getPropertyValue(name).trim();
const known = (value) => value !== null && value !== undefined;

function loadPlotly() {
  if (window.Plotly) return Promise.resolve();
  if (!window.mfPlotly) {
    window.mfPlotly = new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = (window.gradio_config?.root ?? '') + props.plotly;
      script.onload = resolve;
      script.onerror = () => reject(new Error('plotly.js could not be loaded'));
      document.head.append(script);
    });
  }
  return window.mfPlotly;
}

function errorBars(points, key, colour) {
  const spans = points.map((p) => (known(p[key + 'lo']) ? [p[key] - p[key + 'lo'], p[key + 'hi'] - p[key]] : [0, 0]));
  return {
    type: 'data', symmetric: false, array: spans.map((s) => s[1]), arrayminus: spans.map((s) => s[0]),
    color: colour, thickness: 1.2, width: 0,
  };
}
