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

/// A batch of the same picture, as many as the graph takes, in the type it takes.
ov::Tensor input_of(const std::vector<float>& values, const protohead::Json& input) {
  ov::Shape shape;
  for (const auto& size : input["shape"].list) shape.push_back(size.is_null() ? 1 : size.integer());
  const bool bytes = input["dtype"].text == "uint8";
  ov::Tensor tensor(bytes ? ov::element::u8 : ov::element::f32, shape);
  for (std::size_t i = 0; i < tensor.get_size(); ++i) {
    const float value = values[i % values.size()];
    if (bytes) tensor.data<uint8_t>()[i] = static_cast<uint8_t>(value);
    else tensor.data<float>()[i] = value;
  }
  return tensor;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 4) throw std::runtime_error("expected three arguments: ARTIFACT IMAGE.png OUT.png.");
  const std::string folder = arguments[1];
  const protohead::Artifact artifact(folder);
  const auto how = protohead::preprocessing_of(artifact.manifest["input"]["preprocessing"]);
  const Picture view = protohead::make_view(read_png(arguments[2]), how);
  // In float32, whatever the machine: in bfloat16 the best class may change.
  ov::Core core;
  auto model = core.compile_model(folder + "/model.onnx", "CPU",
                                  ov::hint::inference_precision(ov::element::f32));
  const auto tensor = input_of(protohead::to_tensor(view, how), artifact.manifest["input"]);
  auto outputs = run(model, tensor);
  const auto classes = protohead::explain(outputs, artifact, view);
  write_png(arguments[3], protohead::overlay(view, classes.at(0)));
  std::cout << protohead::numbers_of(classes) << "\n";
} catch (const std::exception& error) {
  std::string words = error.what();
  std::replace(words.begin(), words.end(), '\n', ' ');  // OpenVINO says it in several lines
  std::cerr << "explain: " << words << "\n";
  return 1;
}
