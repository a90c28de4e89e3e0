/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bytes that many objects have in common, each kept once: namespaces, names of nodes, the labels
 * of a workload's pods. Who asks for equal ones is given the same address, counts as one more who
 * has them, and must not change them. One table for the process, used by one thread.
 */
#include <stdbool.h>
#include <stddef.h>

const char *shared_text(const char *s); /* NULL stays NULL */
/*
 * The same of any bytes, behind a room of the caller's own: *ret_new tells that nobody had them and
 * the room is zeroed, to be filled before anybody else can ask. The bytes follow at once.
 */
void *shared_bytes(const void *bytes, size_t len, size_t room, bool *ret_new);
void shared_drop(const void *p); /* what one of these returned; NULL: nothing */
size_t shared_count(void);	 /* different ones */
