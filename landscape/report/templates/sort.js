"use strict";
// A heading sorts its table: numbers by their key, words by the alphabet; pressed again it turns the order.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
    const rising = heading.getAttribute("aria-sort") !== "ascending";
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const body = table.tBodies[0];
    const value = (row) => row.cells[column].dataset.key;
    const order = (a, b) => {
      const [one, other] = [value(a), value(b)].map((key) => key === undefined ? undefined
        : Number(key.replace("inf", "Infinity")));
      if (one !== undefined && other !== undefined) return one === other ? 0 : one < other ? -1 : 1;
      return a.cells[column].textContent.localeCompare(b.cells[column].textContent, "en", { numeric: true });
    };
    body.append(...[...body.rows].sort((a, b) => rising ? order(a, b) : order(b, a)));
  }));
}
