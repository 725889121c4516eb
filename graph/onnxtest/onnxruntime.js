// Runs ONNX models on onnxruntime-node, found through NODE_PATH. Standard input is a
<<<<<<< HEAD:graph/onnxtest/onnxruntime.js
// list of {"model": path, "x": {"dims", "data"}, "type": "float32" or "float64"}; standard output lists, for each,
=======
// list of {"model": path, "inputs": {name: {"dims", "data"}}}; standard output lists, for each,
>>>>>>> contexts:layers/testdata/onnx.js
// {name: {"dims", "data"}} of every output.
const ort = require("onnxruntime-node");
const requests = JSON.parse(require("fs").readFileSync(0));

(async () => {
  const answers = [];
<<<<<<< HEAD:graph/onnxtest/onnxruntime.js
  for (const { model, x, type } of requests) {
    const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
    const data = type === "float64" ? Float64Array.from(x.data) : Float32Array.from(x.data);
    const results = await session.run({ [session.inputNames[0]]: new ort.Tensor(type, data, x.dims) });
=======
  for (const { model, inputs } of requests) {
    const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
    const feeds = {};
    for (const [name, { dims, data }] of Object.entries(inputs)) {
      feeds[name] = new ort.Tensor("float32", Float32Array.from(data), dims);
    }
    const results = await session.run(feeds);
>>>>>>> contexts:layers/testdata/onnx.js
    const answer = {};
    for (const name of session.outputNames) {
      answer[name] = { dims: results[name].dims, data: Array.from(results[name].data) };
    }
    answers.push(answer);
  }
  console.log(JSON.stringify(answers));
})();
