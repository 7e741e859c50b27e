// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What must hold of any bytes whatever. Used by the fuzz targets and by the deterministic mutation test.
#include <cstddef>
#include <span>
#include <vector>

namespace muster::wire::fuzz {

/// A frame's body: decoding answers a value or an error; a value encodes, and what it encodes to decodes to
/// the same bytes again; the in-place parsers agree with the general decoder. Aborts (ENSURE) otherwise.
void check_frame_body(std::span<const std::byte> body);

/// The encoding of a value that uses every kind of codec: the same.
void check_archive(std::span<const std::byte> bytes);
/// Good bytes for check_archive, with something in every field.
std::vector<std::byte> sample_archive();

} // namespace muster::wire::fuzz
