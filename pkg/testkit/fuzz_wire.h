/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The other end of every socket of a fuzzer, played by its input: what the code
 * under test sends is swallowed, and what it receives is the next record of the
 * input. A program that has fuzz_wire.o in it receives nothing from anywhere else.
 *
 * A record is a control byte, a length (two bytes, low first) and that many bytes,
 * or what is left. Netlink messages are dressed so that they are listened to: length,
 * sequence and port number are set as the question wants them, unless a bit of the
 * control byte says to leave them alone. When nothing is left, receiving fails with
 * EAGAIN.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_ERROR    0x01 /* fails with an errno; no bytes follow */
#define WIRE_SEQ      0x02 /* sequence and port number stay as they are */
#define WIRE_STRANGER 0x04 /* not from the kernel */
#define WIRE_LONG     0x08 /* was longer than the buffer */
#define WIRE_LENGTH   0x10 /* the messages' lengths stay as they are */

/* data is borrowed until the next call; netlink: whether records are dressed. */
void wire_feed(const uint8_t *data, size_t size, bool netlink);
/* The same for a single message, all of data, as it is. */
void wire_feed_one(const uint8_t *data, size_t size);
size_t wire_left(void); /* bytes nobody has received */
