// Loads a SavedModel as TensorFlow Serving does, lists its signatures, and runs each.
//
//   predict SAVED_MODEL FOLDER
//
// FOLDER/SIGNATURE/INPUT are serialized TensorProtos, the inputs of one request; FOLDER/SIGNATURE/OUTPUT.out become its
// answers. Standard output has a line for each signature: its name, its inputs and its outputs, or the error.
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/tensor.pb.h"
#include "tensorflow/core/public/session.h"
#include "tensorflow/core/public/session_options.h"

using tensorflow::Tensor;

Tensor Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string contents((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  tensorflow::TensorProto proto;
  Tensor tensor;
  if (!file || !proto.ParseFromString(contents) || !tensor.FromProto(proto)) {
    std::cerr << "no tensor: " << path << std::endl;
    exit(2);
  }
  return tensor;
}

void Write(const Tensor& tensor, const std::string& path) {
  tensorflow::TensorProto proto;
  tensor.AsProtoField(&proto);
  std::ofstream(path, std::ios::binary) << proto.SerializeAsString();
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  tensorflow::SavedModelBundle bundle;
  const auto loaded = tensorflow::LoadSavedModel({}, {}, argv[1], {"serve"}, &bundle);
  if (!loaded.ok()) {
    std::cerr << loaded.ToString() << std::endl;
    return 1;
  }
  for (const auto& [name, signature] : bundle.meta_graph_def.signature_def()) {
    if (name.rfind("__", 0) == 0) continue;
    std::vector<std::pair<std::string, Tensor>> inputs;
    std::vector<std::string> wanted, keys;
    std::cout << name << " :";
    for (const auto& [key, info] : signature.inputs()) {
      inputs.emplace_back(info.name(), Read(std::string(argv[2]) + "/" + name + "/" + key));
      std::cout << " " << key;
    }
    std::cout << " :";
    for (const auto& [key, info] : signature.outputs()) {
      wanted.push_back(info.name());
      keys.push_back(key);
      std::cout << " " << key;
    }
    std::vector<Tensor> outputs;
    const auto answered = bundle.session->Run(inputs, wanted, {}, &outputs);
    std::cout << " : " << answered.ToString() << std::endl;
    for (size_t i = 0; i < outputs.size(); ++i) {
      Write(outputs[i], std::string(argv[2]) + "/" + name + "/" + keys[i] + ".out");
    }
  }
}
