import assert from "node:assert/strict";
import test from "node:test";
import { create } from "@bufbuild/protobuf";
import { parse } from "./arguments.js";
import { RecognizeResponseSchema, WarningSchema } from "./index.js";
import { last, printable, Report } from "./report.js";

class Lines {
  text = "";

  constructor(readonly isTTY = false) {}

  write(text: string): void {
    this.text += text;
  }
}

function result(transcript: string, isFinal: boolean) {
  return create(RecognizeResponseSchema, { response: { case: "result", value: { transcript, isFinal } } });
}

test("final results go to standard output, with the number of their file", () => {
  const out = new Lines();
  const err = new Lines();
  new Report(out, err, true).call(3).received(result("good morning", true));
  assert.equal(out.text, "3\tgood morning\n");
  assert.equal(err.text, "");
});

test("one file has no number", () => {
  const out = new Lines();
  new Report(out, new Lines(), false).call(0).received(result("good morning", true));
  assert.equal(out.text, "good morning\n");
});

test("interim results are redrawn in place on a terminal", () => {
  const terminal = new Lines(true);
  const call = new Report(terminal, terminal, false).call(0);
  call.received(result("good", false));
  call.received(result("good morning", true));
  assert.equal(terminal.text, "\r\rgood\r    \rgood morning\n");
});

test("a warning is printed once, although a new call repeats it", () => {
  const err = new Lines();
  const call = new Report(new Lines(), err, false).call(0);
  const value = create(WarningSchema, { field: "model", message: "ignored" });
  const warning = create(RecognizeResponseSchema, { response: { case: "warning", value } });
  call.received(warning);
  call.received(warning);
  assert.equal(err.text, "warning: model: ignored\n");
});

test("the newest words stay in a line", () => {
  assert.equal(last("short", 9), "short");
  assert.equal(last("a long sentence", 9), "…sentence");
  assert.equal(last("一二三四五六", 9), "…三四五六");
});

test("control characters become blanks", () => {
  assert.equal(printable("a\r\nb\x1b[2J"), "a  b [2J");
});

test("options may follow files", () => {
  const { files, fast, model } = parse(["one.wav", "--fast", "-", "--model", "m"]);
  assert.deepEqual({ files, fast, model }, { files: ["one.wav", "-"], fast: true, model: "m" });
});

for (const wrong of [[], ["--rate", "3", "-"], ["--timeout", "soon", "-"], ["--nothing", "-"]]) {
  test(`the arguments ${JSON.stringify(wrong)} are refused`, () => {
    assert.throws(() => parse(wrong), TypeError);
  });
}
