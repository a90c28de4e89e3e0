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
 * The same for any bytes. They are kept behind `room` bytes that are the caller's to use, and the
 * result points to that room; bytes directly follow it. *ret_new: nobody had these bytes, so the
 * room is zeroed and to be filled in now. Equal bytes with another room are another entry.
 */
void *shared_bytes(const void *bytes, size_t len, size_t room, bool *ret_new);
/* One less who has p, which one of the above returned; the last one frees it. NULL: nothing. */
void shared_drop(const void *p);
size_t shared_count(void); /* how many entries there are: for tests that look for leaks */
