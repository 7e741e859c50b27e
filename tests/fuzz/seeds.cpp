// SPDX-License-Identifier: Apache-2.0
// fuzz_seeds GOLDEN_JSON DIRECTORY: writes the corpora with which the fuzz targets start, one folder a
// target, made of the golden frames and of muster's own messages. Nothing binary is kept in the repository.
#include "../wire/samples.hpp"
#include "check.hpp"
#include "core_script.hpp"
#include "link_script.hpp"

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of_hex(std::string_view hex) {
    Bytes bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes.push_back(static_cast<std::byte>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
    return bytes;
}

Bytes body_of(const muster::ClusterFrame& frame) {
    const auto encoded = muster::wire::encode_frame(frame);
    if (!encoded) throw std::runtime_error(encoded.error().message());
    const auto all = encoded->bytes();
    return {all.begin() + muster::wire::frame_header_bytes, all.end()};
}

std::vector<Bytes> golden_bodies(const char* path) {
    std::ifstream file(path);
    std::stringstream text;
    if (!file || !(text << file.rdbuf())) throw std::runtime_error(std::string(path) + " cannot be read");
    std::vector<Bytes> bodies;
    const auto document = boost::json::parse(text.str());
    for (const auto& frame : document.at("frames").as_array()) {
        const auto* hex = frame.as_object().if_contains("frame_hex");
        if (hex == nullptr || hex->as_string().size() > 8192) continue;
        const Bytes bytes = bytes_of_hex(hex->as_string());
        if (bytes.size() > muster::wire::frame_header_bytes)
            bodies.emplace_back(bytes.begin() + muster::wire::frame_header_bytes, bytes.end());
    }
    return bodies;
}

void write(const std::filesystem::path& directory, std::span<const Bytes> seeds) {
    std::filesystem::create_directories(directory);
    std::size_t number = 0;
    for (const Bytes& seed : seeds) {
        std::ofstream file(directory / ("seed-" + std::to_string(number++)), std::ios::binary);
        file.write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
        if (!file) throw std::runtime_error(directory.string() + " cannot be written");
    }
    std::cout << directory.string() << ": " << seeds.size() << " seeds\n";
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: fuzz_seeds GOLDEN_JSON DIRECTORY\n";
        return 2;
    }
    using namespace muster::wire;
    try {
        const std::filesystem::path out = argv[2];
        std::vector<Bytes> messages;
        for (const auto& message : samples::messages()) messages.push_back(body_of(message));
        std::vector<Bytes> frames = golden_bodies(argv[1]);
        const std::size_t golden = frames.size();
        frames.insert(frames.end(), messages.begin(), messages.end());
        frames.push_back(body_of(samples::hello()));
        if (golden == 0) throw std::runtime_error("no golden frame was found");
        write(out / "fuzz_frame", frames);

        std::vector<Bytes> scripts;
        for (const Bytes& message : messages)
            scripts.push_back(fuzz::script_of_bodies(std::span(&message, 1)));
        scripts.push_back(fuzz::script_of_bodies(messages));
        write(out / "fuzz_core", scripts);

        // Each side of a connection: a handshake, and what a peer may say behind it.
        const auto hello = samples::hello();
        HelloReply reply;
        reply.cluster_name = hello.cluster_name;
        reply.from = hello.from;
        std::vector<Bytes> links;
        const Bytes goodbye = body_of(Goodbye{GoodbyeReason::Stopping, {}});
        const std::vector<Bytes> dialled{body_of(reply), goodbye};
        links.push_back(muster::transport::fuzz::link_script_of(true, dialled));
        for (const Bytes& message : messages) {
            const std::vector<Bytes> accepted{body_of(hello), message, goodbye};
            links.push_back(muster::transport::fuzz::link_script_of(false, accepted));
        }
        write(out / "fuzz_link", links);

        const std::vector<Bytes> archives{fuzz::sample_archive()};
        write(out / "fuzz_archive", archives);
    } catch (const std::exception& problem) {
        std::cerr << "fuzz_seeds: " << problem.what() << '\n';
        return 1;
    }
}
