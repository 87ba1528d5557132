// From a picture to an input tensor exactly as an artifact's manifest says it: the resize of
// Pillow 13 of 8-bit pictures, bit for bit, and serving/model/preprocess.py. C++17, no dependency.
//
//   Picture -> make_view -> to_tensor -> (the runtime)
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace protohead {

/// A picture of 8 bits: row by row, the channels of a pixel together.
struct Picture {
  int width = 0;
  int height = 0;
  int channels = 3;
  std::vector<std::uint8_t> data;
};

/// Height and width, pixels.
using Size = std::array<int, 2>;

/// How a picture becomes the input tensor; the fields are those of the manifest.
struct Preprocessing {
  std::optional<int> resize_short;  // `resize` where it is a number
  std::optional<Size> resize;       // where it is two
  std::optional<Size> crop;
  std::string interpolation = "bilinear";
  double scale = 1.0 / 255;
  std::vector<double> mean, std;
  std::string layout = "NCHW";
  std::string channels = "RGB";
};

/// What a place of a resized line is made of: the weights of `first` and those behind it.
struct Taps {
  int first;
  std::vector<double> weights;
};

namespace detail {

constexpr double pi = 3.14159265358979323846;
constexpr int bits = 32 - 8 - 2;

inline double sinc(double x) { return x == 0 ? 1 : std::sin(x * pi) / (x * pi); }

inline double box(double x) { return x > -0.5 && x <= 0.5 ? 1 : 0; }

inline double bilinear(double x) { return std::max(0.0, 1 - std::abs(x)); }

inline double hamming(double x) {
  x = std::abs(x);
  if (x == 0) return 1;
  if (x >= 1) return 0;
  x *= pi;
  return std::sin(x) / x * (0.54f + 0.46f * std::cos(x));
}

inline double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

inline double lanczos(double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0; }

struct Filter {
  double support;
  double (*weigh)(double);
};

inline Filter filter_of(const std::string& name) {
  if (name == "box") return {0.5, box};
  if (name == "bilinear") return {1, bilinear};
  if (name == "hamming") return {1, hamming};
  if (name == "bicubic") return {2, bicubic};
  if (name == "lanczos") return {3, lanczos};
  throw std::invalid_argument(
      "expected an interpolation of nearest, box, bilinear, hamming, bicubic, lanczos, got " + name +
      ".");
}

/// Resize `lines` lines that lie `across` apart; their places lie `along` apart.
inline void resize_lines(const std::uint8_t* source, std::uint8_t* target,
                         const std::vector<Taps>& taps, int lines, Size across, Size along,
                         int channels) {
  for (std::size_t place = 0; place < taps.size(); ++place) {
    std::vector<int> weights;
    for (double weight : taps[place].weights)
      weights.push_back(static_cast<int>(weight * (1 << bits) + (weight < 0 ? -0.5 : 0.5)));
    for (std::size_t line = 0; line < static_cast<std::size_t>(lines); ++line) {
      for (int channel = 0; channel < channels; ++channel) {
        const std::uint8_t* from =
            source + line * across[0] + std::size_t(taps[place].first) * along[0] + channel;
        int sum = 1 << (bits - 1);
        for (std::size_t i = 0; i < weights.size(); ++i, from += along[0]) sum += *from * weights[i];
        target[line * across[1] + place * along[1] + channel] =
            static_cast<std::uint8_t>(std::clamp(sum >> bits, 0, 255));
      }
    }
  }
}

/// Places are added up, as Pillow does, not multiplied: that rounds otherwise.
inline std::vector<int> nearest_places(int from, int to) {
  const double step = static_cast<double>(from) / to;
  std::vector<int> places;
  for (double place = step * 0.5; static_cast<int>(places.size()) < to; place += step)
    places.push_back(static_cast<int>(place));
  return places;
}

inline Picture nearest(const Picture& picture, int width, int height) {
  Picture found{width, height, picture.channels, {}};
  const auto columns = nearest_places(picture.width, width);
  for (int row : nearest_places(picture.height, height))
    for (int column : columns)
      for (int c = 0; c < picture.channels; ++c) {
        const bool there = row < picture.height && column < picture.width;
        const auto at = (std::size_t(row) * picture.width + column) * picture.channels + c;
        found.data.push_back(there ? picture.data[at] : 0);
      }
  return found;
}

}  // namespace detail

/// What each place of a line that is resized is made of; the weights of a place sum to 1.
inline std::vector<Taps> taps_of(int from, int to, const std::string& filter) {
  const auto [reach, weigh] = detail::filter_of(filter);
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double support = reach * stretch;
  std::vector<Taps> all;
  for (int place = 0; place < to; ++place) {
    const double centre = (place + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int last = std::min(from, static_cast<int>(centre + support + 0.5));
    Taps taps{first, {}};
    double total = 0;
    for (int i = first; i < last; ++i) {
      taps.weights.push_back(weigh((i - centre + 0.5) * (1 / stretch)));
      total += taps.weights.back();
    }
    for (double& weight : taps.weights)
      if (total != 0) weight /= total;
    all.push_back(std::move(taps));
  }
  return all;
}

namespace detail {

inline Picture resize_rows(const Picture& picture, int width, const std::string& filter) {
  if (width == picture.width) return picture;
  const int channels = picture.channels, height = picture.height;
  Picture found{width, height, channels, {}};
  found.data.resize(std::size_t(width) * height * channels);
  resize_lines(picture.data.data(), found.data.data(), taps_of(picture.width, width, filter),
               height, {picture.width * channels, width * channels}, {channels, channels},
               channels);
  return found;
}

inline Picture resize_columns(const Picture& picture, int height, const std::string& filter) {
  if (height == picture.height) return picture;
  const int channels = picture.channels, row = picture.width * channels;
  Picture found{picture.width, height, channels, {}};
  found.data.resize(std::size_t(row) * height);
  resize_lines(picture.data.data(), found.data.data(), taps_of(picture.height, height, filter),
               picture.width, {channels, channels}, {row, row}, channels);
  return found;
}

}  // namespace detail

/// Resize a picture as Pillow's `Image.resize` does.
inline Picture resize(const Picture& picture, int width, int height, const std::string& filter) {
  if (width == picture.width && height == picture.height) return picture;
  if (filter == "nearest") return detail::nearest(picture, width, height);
  // As in Pillow, older ones of which always resize rows first: whichever is less work.
  const int down = picture.height - height;
  if (down > 0 && down > (picture.width - width) * 2)
    return detail::resize_rows(detail::resize_columns(picture, height, filter), width, filter);
  return detail::resize_columns(detail::resize_rows(picture, width, filter), height, filter);
}

/// What the network sees of an RGB picture: resized, then cropped from the centre; black outside.
inline Picture make_view(const Picture& picture, const Preprocessing& how) {
  int width = picture.width, height = picture.height;
  if (how.resize) {
    height = (*how.resize)[0];
    width = (*how.resize)[1];
  } else if (how.resize_short) {
    // The long side is cut to an integer, as in the training pipelines people use.
    const double shorter = std::min(picture.width, picture.height);
    width = std::max(1, static_cast<int>(double(*how.resize_short) * picture.width / shorter));
    height = std::max(1, static_cast<int>(double(*how.resize_short) * picture.height / shorter));
  }
  const Picture resized = resize(picture, width, height, how.interpolation);
  const Size size = how.crop ? *how.crop : how.resize.value();
  // Half a pixel goes to the even one beside it, as in Python and in the default rounding mode.
  const int top = static_cast<int>(std::nearbyint((height - size[0]) / 2.0));
  const int left = static_cast<int>(std::nearbyint((width - size[1]) / 2.0));
  Picture view{size[1], size[0], 3, std::vector<std::uint8_t>(std::size_t(size[0]) * size[1] * 3)};
  for (int y = std::max(0, -top); y < std::min(size[0], height - top); ++y)
    for (int x = std::max(0, -left); x < std::min(size[1], width - left); ++x)
      for (int c = 0; c < 3; ++c)
        view.data[(std::size_t(y) * size[1] + x) * 3 + c] =
            resized.data[(std::size_t(y + top) * width + x + left) * 3 + c];
  return view;
}

/// A view as the input of one picture: (pixel * scale - mean) / std, rounded as NumPy rounds it.
inline std::vector<float> to_tensor(const Picture& view, const Preprocessing& how) {
  const std::size_t pixels = std::size_t(view.width) * view.height, count = how.channels.size();
  std::vector<float> tensor(pixels * count);
  for (std::size_t channel = 0; channel < count; ++channel) {
    std::array<float, 256> values;
    // Each step is rounded to float32: a product and a difference fused would round once.
    const float factor = static_cast<float>(how.scale / how.std[channel]);
    const float shift = static_cast<float>(how.mean[channel] / how.std[channel]);
    for (int i = 0; i < 256; ++i) {
      const float product = static_cast<float>(static_cast<double>(i) * factor);
      values[i] = static_cast<float>(static_cast<double>(product) - shift);
    }
    const std::size_t from = how.channels == "BGR" ? 2 - channel : channel;
    for (std::size_t i = 0; i < pixels; ++i) {
      const std::uint8_t* p = &view.data[i * 3];
      const int grey = (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16;
      const std::size_t at = how.layout == "NCHW" ? channel * pixels + i : i * count + channel;
      tensor[at] = values[how.channels == "L" ? grey : p[from]];
    }
  }
  return tensor;
}

}  // namespace protohead
