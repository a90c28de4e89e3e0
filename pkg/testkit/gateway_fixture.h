/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What tests of gateways that talk to each other need. */
#include "gateway/keyring.h"
#include "gateway/moves.h"

#define GATEWAY_KEY "0123456789abcdef"

/* As a file with that text; the test fails where it is none. */
struct keyring gateway_ring(const char *text);
/* An established TCP connection of a pod, seen as `seen`; port on both sides of the gateway. */
struct move_flow gateway_flow(const char *seen, uint16_t port);
