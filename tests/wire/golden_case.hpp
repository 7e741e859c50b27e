// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The reference's golden files: frames (value and bytes) and decode cases (bytes and what the reference
/// makes of them), run through the real codec.
#include <boost/json/value.hpp>
#include <muster/wire/frame.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace muster::wire::golden {

/// What became of one frame or case.
struct Outcome {
    std::string name;
    bool passed = false;
    std::string note; ///< why it failed, or on purpose differs from the reference
};

/// Throws std::runtime_error when the file cannot be read or is of neither schema.
std::vector<Outcome> run_file(const std::string& path);

Outcome run_frame(const boost::json::object& frame);
Outcome run_decode_case(const boost::json::object& decode_case);

/// Bytes of a frame's "frame_hex", or of its head, repeated byte and tail.
std::vector<std::byte> frame_bytes(const boost::json::object& frame);
/// The C++ value that the JSON describes. Throws std::runtime_error naming what is not understood.
ClusterFrame frame_value(const boost::json::object& value);
/// The text of Rust's derived Debug for a Gossip or RemoteTell frame.
std::string rust_debug(const ClusterFrame& frame);
/// Equal but for the order of a reachability map.
bool same_value(const ClusterFrame& a, const ClusterFrame& b);

} // namespace muster::wire::golden
