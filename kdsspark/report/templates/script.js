// Sorting and filtering of tables; without it they stand as they are.
(function () {
  "use strict";
  function key(row, column) {
    var cell = row.cells[column];
    var value = cell.getAttribute("data-sort");
    if (value !== null) return parseFloat(value);
    var text = cell.textContent.trim();
    var number = text.replace(/,/g, "").replace("\u2212", "-");
    return /^[+-]?\d+(\.\d+)?$/.test(number) ? parseFloat(number) : text;
  }
  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, undefined, { numeric: true });
  }
  function sort(table, heading, column) {
    var down = heading.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("thead th").forEach(function (th) { th.removeAttribute("aria-sort"); });
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    var body = table.tBodies[0];
    var rows = Array.from(body.rows).map(function (row) { return [key(row, column), row]; });
    rows.sort(function (a, b) { return down ? compare(b[0], a[0]) : compare(a[0], b[0]); });
    rows.forEach(function (pair) { body.appendChild(pair[1]); });
  }
  function makeSortable(table) {
    table.querySelectorAll("thead th").forEach(function (th, column) {
      var button = document.createElement("button");
      button.type = "button";
      while (th.firstChild) button.appendChild(th.firstChild);
      th.appendChild(button);
      button.addEventListener("click", function () { sort(table, th, column); });
    });
  }
  function makeFilterable(table) {
    var box = document.createElement("input");
    box.type = "search";
    box.placeholder = "Filter rows";
    box.setAttribute("aria-label", "Filter rows");
    box.addEventListener("input", function () {
      var wanted = box.value.trim().toLowerCase();
      Array.from(table.tBodies[0].rows).forEach(function (row) {
        row.hidden = row.textContent.toLowerCase().indexOf(wanted) < 0;
      });
    });
    table.parentNode.parentNode.insertBefore(box, table.parentNode);
  }
  // The sheet of a layer: its units in another order.
  document.querySelectorAll(".sheet").forEach(function (sheet) {
    var bar = document.createElement("p");
    bar.className = "orders";
    bar.textContent = "Order: ";
    [["highest ks", "ks", -1], ["share of images above 0", "active", -1], ["best class", "best", 1],
     ["unit", "unit", 1]].forEach(function (order) {
      if (!sheet.firstElementChild || !(order[1] in sheet.firstElementChild.dataset)) return;
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = order[0];
      button.addEventListener("click", function () {
        var tiles = Array.from(sheet.children);
        tiles.sort(function (a, b) {
          var x = a.dataset[order[1]], y = b.dataset[order[1]];
          var found = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
          return order[2] * found;
        });
        tiles.forEach(function (tile) { sheet.appendChild(tile); });
        bar.querySelectorAll("button").forEach(function (other) {
          other.setAttribute("aria-pressed", String(other === button));
        });
      });
      bar.appendChild(button);
    });
    sheet.parentNode.insertBefore(bar, sheet);
  });
  document.querySelectorAll("table.sortable").forEach(function (table) {
    if (!table.tBodies.length || table.tBodies[0].rows.length < 2) return;
    makeSortable(table);
    if (table.tBodies[0].rows.length > 12) makeFilterable(table);
  });
})();
