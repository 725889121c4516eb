// Runs ONNX models on onnxruntime-node, found through NODE_PATH. Standard input is a
// list of {"model": path, "inputs": {name: {"dims", "data"}}}; standard output lists, for each,
// {name: {"dims", "data"}} of every output.
const ort = require("onnxruntime-node");
const requests = JSON.parse(require("fs").readFileSync(0));

(async () => {
  const answers = [];
  for (const { model, inputs } of requests) {
    const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
    const feeds = {};
    for (const [name, { dims, data }] of Object.entries(inputs)) {
      feeds[name] = new ort.Tensor("float32", Float32Array.from(data), dims);
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
