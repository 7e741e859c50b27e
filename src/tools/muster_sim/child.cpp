// SPDX-License-Identifier: Apache-2.0
#include "child.hpp"

#include "report.hpp"
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fmt/format.h>
#include <fstream>
#include <sys/mman.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace muster::tools {
namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::system_category(), what); }

void write_all(int to, std::string_view text) {
    while (!text.empty()) {
        const auto written = ::write(to, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return; // the parent is gone
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

std::string read_all(int from) {
    std::string text;
    std::array<char, 4096> buffer{};
    ::lseek(from, 0, SEEK_SET);
    for (;;) {
        const auto got = ::read(from, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return text;
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

} // namespace

Child::Child(const sim::Scenario& scenario, const Options& options)
    : seed_(scenario.seed), seconds_max_(options.seconds_max) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) fail("pipe");
    complaints_ = ::memfd_create("muster-sim", 0);
    std::fflush(nullptr); // or the child prints it again
    process_ = complaints_ < 0 ? -1 : ::fork();
    if (process_ < 0) {
        const int why = errno;
        ::close(ends[0]);
        ::close(ends[1]);
        if (complaints_ >= 0) ::close(complaints_);
        errno = why;
        fail("fork");
    }
    if (process_ == 0) {
        ::close(ends[0]);
        live(scenario, options, ends[1]);
    }
    ::close(ends[1]);
    pipe_ = ends[0];
}

Child::~Child() {
    if (process_ > 0) {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }
    if (pipe_ >= 0) ::close(pipe_);
    if (complaints_ >= 0) ::close(complaints_);
}

void Child::live(const sim::Scenario& scenario, const Options& options, int out) const {
    ::dup2(complaints_, STDERR_FILENO);
    ::alarm(static_cast<unsigned>(options.seconds_max));
    sim::Outcome outcome;
    try {
        auto recorder = options.timeline.empty() ? nullptr : std::make_shared<sim::Recorder>();
        if (recorder) recorder->set_title(title_of(scenario));
        outcome = sim::run(scenario, recorder);
        if (recorder) {
            std::ofstream page(options.timeline);
            sim::write_timeline(page, *recorder, scenario.nodes, sim::NetworkOptions{}.start);
            page.close();
            if (!page) throw std::system_error(errno, std::system_category(), "writing " + options.timeline);
        }
    } catch (const std::exception& thrown) {
        outcome.seed = scenario.seed;
        outcome.broken = "exception";
        outcome.detail = thrown.what();
    }
    write_all(out, outcome_to_json(outcome, true));
    // Exit without flushing or destroying anything of the parent.
    ::_exit(0);
}

std::optional<sim::Outcome> Child::take() {
    std::array<char, 4096> buffer{};
    const auto got = ::read(pipe_, buffer.data(), buffer.size());
    if (got > 0) text_.append(buffer.data(), static_cast<std::size_t>(got));
    if (got > 0 || (got < 0 && errno == EINTR)) return std::nullopt;
    return finish();
}

sim::Outcome Child::wait() {
    for (;;)
        if (auto outcome = take()) return *std::move(outcome);
}

sim::Outcome Child::finish() {
    int status = 0;
    while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    process_ = -1;
    if (auto outcome = outcome_from_json(text_)) return *std::move(outcome);
    sim::Outcome outcome;
    outcome.seed = seed_;
    const bool hung = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    outcome.broken = hung ? "hangs" : "aborted";
    outcome.detail = hung
                         ? fmt::format("no end after {} s of real time", seconds_max_)
                         : fmt::format("{}: {}", WIFSIGNALED(status) ? ::strsignal(WTERMSIG(status)) : "exit",
                                       read_all(complaints_));
    while (!outcome.detail.empty() && outcome.detail.back() == '\n') outcome.detail.pop_back();
    return outcome;
}

} // namespace muster::tools
