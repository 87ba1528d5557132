// From an image file to an overlay in C++: explain ARTIFACT IMAGE.png OUT.png
//
// Prints the explanation as JSON. OpenVINO runs the graph; README.md says how it is built.

#include <png.h>

#include <iostream>
#include <openvino/openvino.hpp>

#include "overlay.hpp"

namespace {

using protohead::Picture;

Picture read_png(const std::string& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_file(&image, path.c_str()))
    throw std::runtime_error(path + ": expected a PNG: " + image.message + ".");
  image.format = PNG_FORMAT_RGB;
  Picture picture{int(image.width), int(image.height), 3, {}};
  picture.data.resize(PNG_IMAGE_SIZE(image));
  const png_color black{};
  if (!png_image_finish_read(&image, &black, picture.data.data(), 0, nullptr))
    throw std::runtime_error(path + ": a damaged PNG: " + image.message + ".");
  return picture;
}

void write_png(const std::string& path, const Picture& picture) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = picture.width;
  image.height = picture.height;
  image.format = PNG_FORMAT_RGB;
  if (!png_image_write_to_file(&image, path.c_str(), 0, picture.data.data(), 0, nullptr))
    throw std::runtime_error(path + ": cannot be written: " + image.message + ".");
}

std::map<std::string, protohead::Output> run(ov::CompiledModel& model, const ov::Tensor& input) {
  auto request = model.create_infer_request();
  request.set_input_tensor(input);
  request.infer();
  std::map<std::string, protohead::Output> outputs;
  for (const auto& port : model.outputs()) {
    const ov::Tensor found = request.get_tensor(port);
    protohead::Output output{found.get_shape(), {}};
    if (found.get_element_type() == ov::element::i64)
      output.data.assign(found.data<int64_t>(), found.data<int64_t>() + found.get_size());
    else
      output.data.assign(found.data<float>(), found.data<float>() + found.get_size());
    for (const auto& name : port.get_names()) outputs[name] = output;
  }
  return outputs;
}

void print(const std::vector<protohead::Explained>& classes) {
  std::cout.precision(9);
  const char* between = "[";
  for (const auto& c : classes) {
    std::cout << between << "{\"id\":" << c.id << ",\"logit\":" << c.logit
              << ",\"probability\":" << c.probability << ",\"bias\":" << c.bias
              << ",\"common\":" << c.common << ",\"unplaced\":" << c.unplaced
              << ",\"rounding\":" << c.rounding << ",\"prototypes\":[";
    const char* comma = "";
    for (const auto& p : c.prototypes) {
      std::cout << comma << "{\"contribution\":" << p.contribution << ",\"peak\":[" << p.peak.first
                << "," << p.peak.second << "]}";
      comma = ",";
    }
    std::cout << "]}";
    between = ",";
  }
  std::cout << "]\n";
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 4) throw std::runtime_error("expected three arguments: ARTIFACT IMAGE.png OUT.png.");
  const std::string folder = arguments[1];
  const protohead::Artifact artifact(folder);
  const auto how = protohead::preprocessing_of(artifact.manifest["input"]["preprocessing"]);
  const Picture view = protohead::make_view(read_png(arguments[2]), how);
  auto tensor = protohead::to_tensor(view, how);
  // In float32, whatever the machine: in bfloat16 the best class may change.
  ov::Core core;
  auto model = core.compile_model(folder + "/model.onnx", "CPU",
                                  ov::hint::inference_precision(ov::element::f32));
  const std::size_t height = view.height, width = view.width, channels = how.channels.size();
  const ov::Shape shape = how.layout == "NCHW" ? ov::Shape{1, channels, height, width}
                                               : ov::Shape{1, height, width, channels};
  auto outputs = run(model, ov::Tensor(ov::element::f32, shape, tensor.data()));
  const auto classes = protohead::explain(outputs, artifact, view);
  write_png(arguments[3], protohead::overlay(view, classes.at(0)));
  print(classes);
} catch (const std::exception& error) {
  std::cerr << "explain: " << error.what() << "\n";
  return 1;
}
