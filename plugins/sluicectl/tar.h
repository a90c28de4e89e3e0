/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A .tar.gz that is written once, from front to back: POSIX ustar, what every tar reads. */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

struct tar;

int tar_open(int take_fd, struct tar **ret, struct err *e);
/* A regular file, 0600, of now. Longer names are cut. */
void tar_add(struct tar *t, const char *name, const void *data, size_t len);
/* Writes the end; what went wrong since the beginning shows here. Frees t. */
int tar_close(struct tar *t, struct err *e);
