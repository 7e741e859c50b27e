// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Typed tells: wire::Codec and the archives that a type's Boost `serialize()` is written for.
#include <muster/language.hpp> // first

#include <muster/wire/archive.hpp>
#include <muster/wire/codec.hpp>
