// Runs ONNX models on onnxruntime-node, found through NODE_PATH. Standard input is a list of
// {"model": path, "inputs": {name: {"dims", "data", "type"}}}, where the type is float64 or, if
// there is none, float32. Standard output lists, for each, {name: {"dims", "data"}} of every output.
const ort = require("onnxruntime-node");
const requests = JSON.parse(require("fs").readFileSync(0));

(async () => {
  const answers = [];
  for (const { model, inputs } of requests) {
    const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
    const feeds = {};
    for (const [name, { dims, data, type = "float32" }] of Object.entries(inputs)) {
      const numbers = type === "float64" ? Float64Array.from(data) : Float32Array.from(data);
      feeds[name] = new ort.Tensor(type, numbers, dims);
    }
    const results = await session.run(feeds);
    const answer = {};
    for (const name of session.outputNames) {
      answer[name] = { dims: results[name].dims, data: Array.from(results[name].data) };
    }
    answers.push(answer);
  }
  console.log(JSON.stringify(answers));
})();
