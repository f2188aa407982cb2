"use strict";
/* Feedback: what is shown is what the server holds, after each answer anew. */
(() => {
  const { version, volume } = JSON.parse(document.getElementById("stack-data").textContent);
  const stack = document.querySelector(".stack");
  const reader = document.getElementById("reader");
  const told = document.querySelector(".told");
  const NAMES = { nodule: "a nodule", benign: "a benign nodule", malignant: "a malignant nodule" };
  const KEPT = "lidcflow-reader-code";
  let marks = [];

  const code = () => reader.value.trim().toUpperCase();
  const isJudgement = (mark) => mark.says === "right" || mark.says === "wrong";
  const isAbout = (mark, first, last) => mark.first_slice === first && mark.last_slice === last;

  const tell = (text, wrong = false) => {
    told.textContent = text;
    told.classList.toggle("wrong", wrong);
  };

  const judgements = (place) => {
    const [first, last] = [Number(place.dataset.first), Number(place.dataset.last)];
    return marks.filter((mark) => isJudgement(mark) && isAbout(mark, first, last));
  };

  const drawJudgement = (place) => {
    const found = judgements(place);
    const own = found.find((mark) => mark.reader === code());
    place.querySelectorAll("button").forEach((button) => {
      button.setAttribute("aria-pressed", String(own?.says === button.dataset.says));
    });
    const others = found.filter((mark) => mark !== own).map((mark) => `${mark.reader}: ${mark.says}`);
    place.querySelector(".others").textContent = others.join(", ");
  };

  const addedLine = (mark) => {
    const line = document.createElement("li");
    const link = document.createElement("a");
    link.href = `#slice-${mark.first_slice}`;
    link.textContent = `Slice ${mark.first_slice}`;
    line.append(link, ` has ${NAMES[mark.says]}, ${mark.reader}${mark.in_range ? ", in a range" : ""} `);
    if (mark.reader === code()) {
      const undo = document.createElement("button");
      undo.type = "button";
      undo.textContent = "Undo";
      undo.setAttribute("aria-label", `Undo slice ${mark.first_slice}`);
      undo.addEventListener("click", () => takeBack(mark));
      line.append(undo);
    }
    return line;
  };

  const draw = () => {
    document.querySelectorAll(".judge").forEach(drawJudgement);
    const added = marks.filter((mark) => !isJudgement(mark)).sort((a, b) => a.first_slice - b.first_slice);
    document.querySelector(".given").replaceChildren(...added.map(addedLine));
  };

  const say = async (said) => {
    if (!new RegExp(`^(${reader.pattern})$`).test(code())) {
      tell("Give your reader code first, such as R1.", true);
      reader.focus();
      return;
    }
    const body = JSON.stringify({ ...said, reader: code(), version, volume_digest: volume });
    try {
      const answer = await fetch("feedback", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      if (!answer.ok) throw new Error(await answer.text());
      marks = (await answer.json()).marks;
      tell("Kept.");
    } catch (error) {
      tell(`Not kept: ${error.message}`, true);
    }
    draw();
  };

  const takeBack = ({ number, first_slice, last_slice }) => say({ says: "undone", undoes: number, first_slice, last_slice });

  document.querySelectorAll(".judge button").forEach((button) => {
    const place = button.closest(".judge");
    button.addEventListener("click", () => {
      const same = judgements(place).find((mark) => mark.reader === code() && mark.says === button.dataset.says);
      if (same) takeBack(same);
      else say({ says: button.dataset.says, first_slice: +place.dataset.first, last_slice: +place.dataset.last });
    });
  });
  document.querySelectorAll(".add button").forEach((button) => {
    button.addEventListener("click", () => {
      const slice = Number(stack.dataset.slice);
      say({ says: button.dataset.says, first_slice: slice, last_slice: slice });
    });
  });
  reader.addEventListener("input", () => {
    reader.value = reader.value.toUpperCase();
    localStorage.setItem(KEPT, code());
    draw();
  });

  reader.value = localStorage.getItem(KEPT) ?? "";
  fetch("feedback")
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`status ${answer.status}`))))
    .then((answer) => {
      marks = answer.marks;
      if (answer.earlier) tell(`${answer.earlier} marks are on an earlier reading of this series.`);
      draw();
    })
    .catch((error) => tell(`Feedback can't be shown (${error.message}).`, true));
})();
