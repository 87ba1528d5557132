// The picture of an explanation: where each prototype looked, its name, and how much it counted;
// js/overlay.js draws the same.
#pragma once

#include <cstdio>

#include "artifact.hpp"
#include "letters.hpp"

namespace protohead {
namespace detail {

constexpr int tile = 224, gap = 14, line = letters::height;
using Colour = std::array<int, 3>;
constexpr Colour paper = {250, 249, 247}, ink = {28, 31, 36};
// Okabe and Ito's, as serving/drawing/palette.py has them.
constexpr Colour hues[] = {{213, 94, 0},   {0, 114, 178},  {227, 210, 0},   {86, 180, 233},
                           {136, 34, 85},  {0, 158, 115},  {204, 121, 167}, {230, 159, 0}};

inline std::string signed_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%+.2f", value);
  return text;
}

inline std::string words(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

/// Write a line up to an edge; a letter that is not of ASCII becomes "?".
inline void write(Picture& page, const std::string& text, int left, int top, int edge) {
  static const std::string digits = letters::digits;
  int length = 0;
  for (int width : letters::widths) length += width;
  for (unsigned char letter : text) {
    if ((letter & 0xC0) == 0x80) continue;  // a further byte of the same letter
    const int glyph = (letter >= 32 && letter < 127 ? letter : '?') - 32;
    const int width = letters::widths[glyph];
    if (left + width > edge) return;
    int before = 0;
    for (int i = 0; i < glyph; ++i) before += letters::widths[i];
    for (int y = 0; y < line; ++y)
      for (int x = 0; x < width; ++x) {
        const int pixel = y * length + before + x;
        const int digit = static_cast<int>(digits.find(letters::strip[pixel / 3]));
        const int level = (digit >> (4 - 2 * (pixel % 3))) & 3;
        std::uint8_t* at = &page.data[(std::size_t(top + y) * page.width + left + x) * 3];
        for (int c = 0; c < 3; ++c) at[c] += (ink[c] - at[c]) * level / 3;
      }
    left += width;
  }
}

/// A heatmap's positive part relative to its peak, upsampled: 0 to 1, row by row.
inline std::vector<double> strength(const Heatmap& heatmap, int width, int height) {
  const double peak = *std::max_element(heatmap.data.begin(), heatmap.data.end());
  const double most = peak > 0 ? peak : 1;
  const auto columns = taps_of(heatmap.width, width, "bicubic");
  std::vector<double> values;
  for (const Taps& row : taps_of(heatmap.height, height, "bicubic"))
    for (const Taps& column : columns) {
      double sum = 0;
      for (std::size_t i = 0; i < row.weights.size(); ++i)
        for (std::size_t j = 0; j < column.weights.size(); ++j) {
          const auto at = std::size_t(row.first + i) * heatmap.width + column.first + j;
          sum += std::max(0.0f, heatmap.data[at]) * row.weights[i] * column.weights[j];
        }
      // Two bicubic dips, at most 1/8 each, multiply to evidence that is not there.
      values.push_back(sum / most < 0.02 ? 0 : std::min(sum / most, 1.0));
    }
  return values;
}

/// A pale grey picture with a heatmap in one colour over it.
inline Picture tint(const Picture& picture, const Heatmap& heatmap, const Colour& colour) {
  const auto opacity = strength(heatmap, picture.width, picture.height);
  Picture found = picture;
  for (std::size_t i = 0; i < opacity.size(); ++i) {
    std::uint8_t* p = &found.data[i * 3];
    const double light = 125 + (0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]) / 2;
    const double alpha = 0.86 * opacity[i];
    for (int c = 0; c < 3; ++c) {
      const double shaded = colour[c] * (0.5 + light / 510);
      p[c] = static_cast<std::uint8_t>(std::lrint(light * (1 - alpha) + shaded * alpha));
    }
  }
  return found;
}

inline void paste(Picture& page, const Picture& picture, int left, int top) {
  for (int y = 0; y < picture.height; ++y)
    std::copy_n(&picture.data[std::size_t(y) * picture.width * 3], picture.width * 3,
                &page.data[(std::size_t(top + y) * page.width + left) * 3]);
}

}  // namespace detail

/// Draw the explanation of one class on what the network saw.
inline Picture overlay(const Picture& view, const Explained& explained) {
  using namespace detail;
  const double most = std::max(view.width, view.height);
  const int across = std::max(1, static_cast<int>(std::lround(tile * view.width / most)));
  const int down = std::max(1, static_cast<int>(std::lround(tile * view.height / most)));
  const Picture seen = resize(view, across, down, "bicubic");
  const int tiles = static_cast<int>(explained.prototypes.size()) + 1;
  const int columns = std::min(4, tiles), row = down + 2 * line + gap;
  const int width = gap + columns * (tile + gap);
  const int height = 4 * gap + 2 * line + (tiles + columns - 1) / columns * row;
  Picture page{width, height, 3, {}};
  for (int i = 0; i < width * height; ++i)
    for (int c : paper) page.data.push_back(static_cast<std::uint8_t>(c));
  char chance[32];
  std::snprintf(chance, sizeof chance, ", %.1f %%", 100 * explained.probability);
  write(page, words(explained.label) + chance, gap, gap, width - gap);
  for (int number = 0; number < tiles; ++number) {
    const int left = gap + number % columns * (tile + gap);
    const int top = 2 * gap + line + number / columns * row;
    if (number == 0) {
      paste(page, seen, left, top);
      write(page, "seen by the network", left, top + down, left + tile);
      continue;
    }
    const Prototype& prototype = explained.prototypes[number - 1];
    paste(page, tint(seen, prototype.heatmap, hues[(number - 1) % 8]), left, top);
    const std::string name = std::to_string(number - 1) + ": " + words(prototype.name);
    write(page, name, left, top + down, left + tile);
    write(page, signed_text(prototype.contribution), left, top + down + line, left + tile);
  }
  std::string sum = "contributions";
  const std::pair<const char*, float> terms[] = {{"bias", explained.bias},
                                                 {"common", explained.common},
                                                 {"unplaced", explained.unplaced},
                                                 {"rounding", explained.rounding}};
  for (const auto& [name, value] : terms)
    if (value != 0) sum += std::string(", ") + name + " " + signed_text(value);
  sum += ": logit " + signed_text(explained.logit);
  write(page, sum, gap, height - gap - line, width - gap);
  return page;
}

}  // namespace protohead
