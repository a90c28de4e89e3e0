/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A frame out of any bytes: they choose headers, addresses of the world of
 * bpf_fixture.h, options, extension headers, fragments and transports, and then what
 * is changed in the finished frame. So a fuzzer's input is nearly always a frame that a
 * parser has to look at twice.
 */
#include <stdint.h>

#include "testkit/packet.h"

struct script {
	const uint8_t *data;
	size_t left;
};

uint8_t script_byte(struct script *s); /* 0 when nothing is left */
void frame_make(struct script *s, struct packet *ret);
/* IP alone, as it comes out of a tunnel. */
void frame_make_inner(struct script *s, struct packet *ret);
