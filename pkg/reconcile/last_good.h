/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * stateDir/last-good.log: a policy folder as it was when all of it was valid. A line for each text,
 * {"text": TEXT}, and behind those that it names {"version": 1, "files": [{"name": NAME, "text":
 * HASH-LENGTH}]}; the last one of these counts. So an edit costs what it changed, and who ends
 * while it is written has the folder before to fall back to.
 */
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "source/folder.h"

struct last_good;

/*
 * Makes f, read from dir, the last good one. *g is kept between calls, NULL at first. Texts that f
 * has not are read from dir, unless they are there already. -ESTALE: one is not as it was any more;
 * other -errno of the file. On failure the one before stays.
 */
int last_good_store(struct last_good **g, int state_fd, const char *dir, struct folder *f,
		    struct err *e);
/* *ret: names, texts and hashes, to be ended by folder_done. -ENOENT: there is none that is whole.
 */
int last_good_load(int state_fd, struct folder *ret, struct err *e);
void last_good_free(struct last_good *g);
DEFINE_CLEANUP(struct last_good *, last_good_free);
