/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whether a snapshot was compiled from the policy folder as it is now, without
 * reading a file: a hash over name, size, mtime and inode of each policy file.
 * The daemon puts it into the image; the plugin compares.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Whether a folder's entry of that name is a policy file: ends in .yaml, .yml or
 * .json, is not hidden (..data, .swp) and not an editor's (a~, #a#).
 */
bool policy_file_name(const char *name);

/*
 * Symlinks are followed; the order of entries does not matter. A folder that does
 * not exist has the fingerprint of an empty one. Never 0: that means "from an
 * API". -errno when the folder cannot be read.
 */
int policy_fingerprint(const char *dir, uint64_t *ret, struct err *e);
