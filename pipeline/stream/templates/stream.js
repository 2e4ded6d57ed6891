// Each event holds all that is shown, so that a page that connects again has missed nothing.
const find = (id) => document.getElementById(id);
let last = null, came = 0, connected = false;

function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds)), two = (n) => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

function showPrediction() {
  const number = known.phases.indexOf(last.prediction), now = find("now");
  now.style.setProperty("--phase", known.colours[number]);
  now.style.setProperty("--on-phase", known.inks[number]);
  find("name").textContent = last.prediction;
  find("confidence").textContent = `${Math.round(100 * last.confidence)} % confidence`;
  find("meter").style.width = `${100 * last.confidence}%`;
  find("ribbon").replaceChildren(...last.ribbon.map(([phase, samples]) => {
    const run = document.createElement("i");
    run.style.flexGrow = samples;
    run.style.background = known.colours[phase];
    return run;
  }));
  known.phases.forEach((phase, i) => {
    const p = last.probabilities[phase];
    find(`bar${i}`).style.width = `${100 * p}%`;
    find(`p${i}`).textContent = `${Math.round(100 * p)} %`;
    find(`bar${i}`).closest("tr").classList.toggle("current", i === number);
  });
  const ms = Math.round(last.latency_ms), took = ms < 2000 ? `${ms} ms` : clock(ms / 1000);
  find("figures").textContent =
    `${took} from picture to prediction, ${last.dropped} dropped`;
}

// Between two events the clocks go on, and silence shows.
function showTime() {
  const silent = last ? (performance.now() - came) / 1000 : 0;
  const old = last ? last.latency_ms / 1000 + silent : 0;
  const state = find("state");
  let text = "Live", look = "good";
  if (!connected) [text, look] = ["No connection, trying again", "bad"];
  else if (!last) [text, look] = ["Waiting for the first prediction", ""];
  else if (old > 5) [text, look] = [`No new picture for ${clock(old)}`, "bad"];
  if (state.textContent !== text) state.textContent = text;
  state.className = look;
  find("now").classList.toggle("old", look === "bad");
  if (!last) return;
  find("since").textContent = clock(last.time_s - last.since_s + silent);
  find("elapsed").textContent = `${clock(last.time_s + silent)} since the first picture`;
}

const events = new EventSource("/events");
events.onopen = () => { connected = true; showTime(); };
events.onerror = () => { connected = false; showTime(); };
events.onmessage = (message) => {
  last = JSON.parse(message.data);
  came = performance.now();
  showPrediction();
  showTime();
};
setInterval(showTime, 500);
