"use strict";
// Says what is under the pointer, or under the keyboard's cursor, of a ribbon.
const data = JSON.parse(document.getElementById("readouts").textContent);

function clock(seconds) {
  const whole = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return (hours ? hours + ":" + two(minutes) : minutes) + ":" + two(whole % 60);
}

function phaseAt([starts, labels], sample, phases) {
  let low = 0, high = starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (starts[middle] <= sample) low = middle; else high = middle - 1;
  }
  const label = labels[low];
  return label < 0 ? "unlabelled" : `${label + 1} ${phases[label]}`;
}

for (const figure of document.querySelectorAll(".ribbon")) {
  const video = data.videos[figure.dataset.video], phases = video.phases || data.phases;
  const bars = figure.querySelector(".bars"), cursor = figure.querySelector(".cursor");
  const output = figure.querySelector("output");
  let sample = 0;

  function show(next) {
    sample = Math.min(video.frames - 1, Math.max(0, next));
    cursor.style.display = "block";
    cursor.style.left = `${(100 * (sample + 0.5)) / video.frames}%`;
    const parts = [
      clock(sample / data.fps),
      "truth " + phaseAt(video.truth, sample, phases),
      "prediction " + phaseAt(video.prediction, sample, phases),
    ];
    if (video.confidence.length) {
      const bin = Math.floor((sample * video.confidence.length) / video.frames);
      parts.push(`confidence ${video.confidence[bin]} %`);
    }
    output.textContent = parts.join(" · ");
  }

  bars.addEventListener("pointermove", (event) => {
    const box = bars.getBoundingClientRect();
    show(Math.floor(((event.clientX - box.left) / box.width) * video.frames));
  });
  bars.addEventListener("pointerleave", () => { cursor.style.display = "none"; });
  figure.querySelector(".band").addEventListener("keydown", (event) => {
    const minute = Math.round(60 * data.fps);
    const to = {
      ArrowLeft: sample - 1, ArrowRight: sample + 1, PageUp: sample - minute,
      PageDown: sample + minute, Home: 0, End: video.frames - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });
}

// On paper everything is open.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
