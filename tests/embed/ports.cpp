// Runs cases through the C++ port: ports CASES.json PIXELS OUT
//
// Each case takes its pixels from where the last one's end, and appends what it gives.

#include "artifact.hpp"

int main(int, char** arguments) {
  const std::string text = protohead::detail::read_file(arguments[1]);
  const std::string bytes = protohead::detail::read_file(arguments[2]);
  std::ofstream out(arguments[3], std::ios::binary);
  auto at = bytes.begin();
  for (const protohead::Json& one : protohead::detail::Reader(text).value().list) {
    protohead::Picture picture{one["width"].integer(), one["height"].integer(),
                               one["channels"].integer(), {}};
    const auto end = at + picture.width * picture.height * picture.channels;
    picture.data.assign(at, end);
    at = end;
    if (one["size"].is_null()) {
      const auto how = protohead::preprocessing_of(one["input"]["preprocessing"]);
      const auto tensor = protohead::to_tensor(protohead::make_view(picture, how), how);
      out.write(reinterpret_cast<const char*>(tensor.data()), tensor.size() * sizeof(float));
      continue;
    }
    const auto& size = one["size"].list;
    const auto found = protohead::resize(picture, size[0].integer(), size[1].integer(),
                                         one["filter"].text);
    out.write(reinterpret_cast<const char*>(found.data.data()), found.data.size());
  }
}
