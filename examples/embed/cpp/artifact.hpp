// An artifact for C++: its manifest, the head's bias, and an explanation made of the graph's
// outputs. C++17, no dependency; protohead.hpp has what comes before the graph.
#pragma once

#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <sstream>

#include "protohead.hpp"

namespace protohead {

/// A value of a JSON file; what is missing is null.
struct Json {
  enum class Kind { null, boolean, number, text, list, object } kind = Kind::null;
  double number = 0;  // of a boolean, 0 or 1
  std::string text;
  std::vector<Json> list;
  std::map<std::string, Json> fields;

  bool is_null() const { return kind == Kind::null; }
  int integer() const { return static_cast<int>(number); }
  const Json& operator[](const std::string& name) const {
    static const Json nothing;
    const auto found = fields.find(name);
    return found == fields.end() ? nothing : found->second;
  }
};

namespace detail {

/// Reads JSON that protohead wrote.
class Reader {
 public:
  explicit Reader(const std::string& text) : at_(text.data()), end_(at_ + text.size()) {}

  Json value() {
    Json found;
    const char first = next();
    if (first == '{') {
      found.kind = Json::Kind::object;
      for (++at_; next() != '}'; skip(',')) {
        std::string name = string();
        skip(':');
        found.fields.emplace(std::move(name), value());
      }
      ++at_;
    } else if (first == '[') {
      found.kind = Json::Kind::list;
      for (++at_; next() != ']'; skip(',')) found.list.push_back(value());
      ++at_;
    } else if (first == '"') {
      found.kind = Json::Kind::text;
      found.text = string();
    } else if (word("true") || word("false")) {
      found.kind = Json::Kind::boolean;
      found.number = first == 't';
    } else if (!word("null")) {
      found.kind = Json::Kind::number;
      const auto [stop, error] = std::from_chars(at_, end_, found.number);
      if (error != std::errc()) throw std::runtime_error("expected JSON, found something else.");
      at_ = stop;
    }
    return found;
  }

 private:
  char next() {
    while (at_ < end_ && std::strchr(" \n\r\t", *at_)) ++at_;
    if (at_ >= end_) throw std::runtime_error("expected JSON, found its end too early.");
    return *at_;
  }

  void skip(char separator) {
    if (next() == separator) ++at_;
  }

  bool word(const char* expected) {
    const auto length = std::strlen(expected);
    if (end_ - at_ < std::ptrdiff_t(length) || std::strncmp(at_, expected, length)) return false;
    at_ += length;
    return true;
  }

  std::string string() {
    std::string found;
    for (++at_; at_ < end_ && *at_ != '"'; ++at_) {
      if (*at_ != '\\' || end_ - at_ < 6) {
        found += *at_;
        continue;
      }
      static const std::map<char, char> escaped = {{'n', '\n'}, {'t', '\t'}, {'r', '\r'},
                                                   {'b', '\b'}, {'f', '\f'}};
      const char kind = *++at_;
      if (kind == 'u') {  // written of control characters alone
        found += static_cast<char>(std::stoi(std::string(at_ + 1, at_ + 5), nullptr, 16));
        at_ += 4;
      } else {
        const auto plain = escaped.find(kind);
        found += plain == escaped.end() ? kind : plain->second;
      }
    }
    ++at_;
    return found;
  }

  const char* at_;
  const char* end_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": no such file.");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A float32 tensor of a safetensors file: eight bytes of length, a header, the values.
inline std::vector<float> tensor_of(const std::string& bytes, const std::string& name) {
  const auto require = [&](bool fits) {
    if (!fits) throw std::runtime_error("expected a safetensors file with a float32 " + name + ".");
  };
  std::uint64_t length = 0;  // of a little-endian machine, as the format is
  require(bytes.size() >= sizeof length);
  std::memcpy(&length, bytes.data(), sizeof length);
  require(length <= bytes.size() - sizeof length);
  const Json header = Reader(bytes.substr(8, length)).value();
  const auto& offsets = header[name]["data_offsets"].list;
  require(header[name]["dtype"].text == "F32" && offsets.size() == 2);
  const auto from = static_cast<std::size_t>(offsets[0].number);
  const auto to = static_cast<std::size_t>(offsets[1].number);
  require(from <= to && to <= bytes.size() - 8 - length);
  std::vector<float> values((to - from) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + 8 + length + from, to - from);
  return values;
}

inline Size size_of(const Json& value) {
  if (value.kind == Json::Kind::number) return {value.integer(), value.integer()};
  return {value.list.at(0).integer(), value.list.at(1).integer()};
}

/// Keys' cubic convolution kernel as OpenCV and torch take it.
inline double keys(double x) {
  constexpr double a = -0.75;
  if (x <= 1) return (a + 2) * x * x * x - (a + 3) * x * x + 1;
  return x < 2 ? a * (x * x * x - 5 * x * x + 8 * x - 4) : 0;
}

/// A line upsampled with half-pixel centres, the border repeated.
template <typename Read>
double upsampled(const Read& read, int from, int to, int place) {
  const double centre = (place + 0.5) * from / to - 0.5;
  const int left = static_cast<int>(std::floor(centre));
  double sum = 0;
  for (int offset = -1; offset < 3; ++offset)
    sum += read(std::clamp(left + offset, 0, from - 1)) * keys(std::abs(centre - (left + offset)));
  return sum;
}

}  // namespace detail

/// What `preprocessing` of a manifest's input says.
inline Preprocessing preprocessing_of(const Json& json) {
  Preprocessing how;
  if (json["resize"].kind == Json::Kind::number) how.resize_short = json["resize"].integer();
  if (json["resize"].kind == Json::Kind::list) how.resize = detail::size_of(json["resize"]);
  if (!json["crop"].is_null()) how.crop = detail::size_of(json["crop"]);
  how.interpolation = json["interpolation"].text;
  how.scale = json["scale"].number;
  for (const Json& value : json["mean"].list) how.mean.push_back(value.number);
  for (const Json& value : json["std"].list) how.std.push_back(value.number);
  how.layout = json["layout"].text;
  how.channels = json["channels"].text;
  return how;
}

/// What a client needs of an artifact beside its graph.
struct Artifact {
  Json manifest;
  std::vector<float> bias;

  explicit Artifact(const std::string& folder)
      : manifest(detail::Reader(detail::read_file(folder + "/manifest.json")).value()),
        bias(detail::tensor_of(detail::read_file(folder + "/prototypes.safetensors"), "bias")) {
    if (manifest["format"].text != "protohead/1")
      throw std::runtime_error(folder + ": expected format protohead/1, got " +
                               manifest["format"].text + ".");
  }

  /// The name in the graph of something that protohead added.
  std::string added(const std::string& name) const { return manifest["prefix"].text + name; }
};

/// h rows of w values; their mean is the contribution.
struct Heatmap {
  int width, height;
  std::vector<float> data;
};

/// The first largest pixel (x, y) of a heatmap that is upsampled to a picture of this size.
inline std::pair<int, int> peak_of(const Heatmap& heatmap, int width, int height) {
  float most = -std::numeric_limits<float>::infinity();
  std::pair<int, int> found{0, 0};
  for (int y = 0; y < height; ++y) {
    std::vector<float> row;
    for (int x = 0; x < heatmap.width; ++x) {
      const auto read = [&](int at) { return heatmap.data[std::size_t(at) * heatmap.width + x]; };
      row.push_back(static_cast<float>(detail::upsampled(read, heatmap.height, height, y)));
    }
    for (int x = 0; x < width; ++x) {
      const auto read = [&](int at) { return row[at]; };
      const auto value = static_cast<float>(detail::upsampled(read, heatmap.width, width, x));
      if (value > most) most = value, found = {x, y};
    }
  }
  return found;
}

struct Prototype {
  std::string name;
  float contribution;
  std::pair<int, int> peak;
  Heatmap heatmap;
};

/// contributions + bias + common + unplaced + rounding = logit
struct Explained {
  int id;
  std::string label;
  float logit;
  double probability;
  float bias, common, unplaced, rounding;
  std::vector<Prototype> prototypes;
};

/// An output of the graph; integers are given as floats, which hold every class id.
struct Output {
  std::vector<std::size_t> shape;
  std::vector<float> data;
};

/// The explained classes of the first picture of a batch, best first; `outputs` by name.
inline std::vector<Explained> explain(std::map<std::string, Output>& outputs,
                                      const Artifact& artifact, const Picture& view) {
  const Json& manifest = artifact.manifest;
  auto& logits = outputs.at(manifest["head"]["logits"].text).data;
  logits.resize(artifact.bias.size());
  const bool sigmoid = manifest["activation"].text == "sigmoid";
  const double most = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (float logit : logits) total += std::exp(logit - most);
  const auto number = [&](const char* name, std::size_t slot) {
    const auto found = outputs.find(artifact.added(name));
    return found == outputs.end() ? 0.0f : found->second.data.at(slot);
  };
  const Output& heat = outputs.at(artifact.added("heatmaps"));
  const std::size_t k = heat.shape.at(2), height = heat.shape.at(3), width = heat.shape.at(4);
  const auto& contributions = outputs.at(artifact.added("contributions")).data;
  const auto& ids = outputs.at(artifact.added("class_ids")).data;
  std::vector<Explained> all;
  for (std::size_t slot = 0; slot < heat.shape.at(1); ++slot) {
    const int id = static_cast<int>(ids[slot]);
    const Json& record = manifest["classes"].list.at(id);
    const double chance = sigmoid ? 0.5 + 0.5 * std::tanh(0.5 * logits.at(id))
                                  : std::exp(logits.at(id) - most) / total;
    Explained one{id, record["label"].text, logits[id], chance, artifact.bias.at(id),
                  number("common", 0), number("unplaced", slot), number("rounding", slot), {}};
    for (std::size_t index = 0; index < record["prototypes"].list.size(); ++index) {
      const std::size_t at = slot * k + index;
      const auto first = heat.data.begin() + std::ptrdiff_t(at * height * width);
      Heatmap heatmap{int(width), int(height), {first, first + std::ptrdiff_t(height * width)}};
      const auto peak = peak_of(heatmap, view.width, view.height);
      one.prototypes.push_back({record["prototypes"].list[index]["name"].text, contributions.at(at),
                                peak, std::move(heatmap)});
    }
    all.push_back(std::move(one));
  }
  return all;
}

namespace detail {

inline std::string quoted(const std::string& text) {
  std::string found = "\"";
  for (char letter : text) {
    char code[8];
    std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned char>(letter));
    const bool plain = letter != '"' && letter != '\\' && static_cast<unsigned char>(letter) >= 32;
    found += plain ? std::string(1, letter) : code;
  }
  return found + '"';
}

}  // namespace detail

/// An explanation for other programs, as JSON: everything but the heatmaps.
inline std::string numbers_of(const std::vector<Explained>& classes) {
  std::ostringstream out;
  out.precision(9);
  const char* between = "[";
  for (const Explained& one : classes) {
    out << between << "{\"id\":" << one.id << ",\"label\":" << detail::quoted(one.label)
        << ",\"logit\":" << one.logit << ",\"probability\":" << one.probability
        << ",\"bias\":" << one.bias << ",\"common\":" << one.common
        << ",\"unplaced\":" << one.unplaced << ",\"rounding\":" << one.rounding
        << ",\"prototypes\":[";
    const char* comma = "";
    for (const Prototype& p : one.prototypes) {
      out << comma << "{\"name\":" << detail::quoted(p.name)
          << ",\"contribution\":" << p.contribution << ",\"peak\":[" << p.peak.first << ","
          << p.peak.second << "]}";
      comma = ",";
    }
    out << "]}";
    between = ",";
  }
  return out.str() + "]";
}

}  // namespace protohead
