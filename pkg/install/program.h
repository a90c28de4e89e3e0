/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A program put into the folder where runtimes look for plugins, while runtimes run the
 * one that is there: a whole file under another name, then renamed over it. Whoever runs
 * the old one keeps it; nobody meets a half, or one that is open for writing (ETXTBSY).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct program_report {
	bool changed;
	char version[64], before[64]; /* "" = not known, none was there */
	uint64_t checksum;	      /* XXH64 */
};

/* from: a file; becomes dir/name, 0755. dry: only looks. The folder is made if it is not there. */
int program_install(const char *from, const char *dir, const char *name, bool dry,
		    struct program_report *ret, struct err *e);

/* The version that is written in the file; "" when there is none. -errno: cannot be read. */
int program_version(const char *path, char ret[64]);
/* Whether both have the same bytes. */
bool program_same(const char *a, const char *b);
