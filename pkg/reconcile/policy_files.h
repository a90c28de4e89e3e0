/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The files of a policy folder as they were read last: what a document of a file holds is a set of
 * its own, and part of the whole for as long as its text stays, wherever in its file that comes to
 * lie. An edit costs the reading of its document, and ten thousand policies beside it, or a feed of
 * a million prefixes, nothing.
 */
#include "policy/doc.h"
#include "source/folder.h"

struct policy_file;

struct policy_files {
	struct policy_file **items; /* sorted by name; those of the time before, where they stay */
	size_t n;
	struct folder seen;    /* the same, for folder_read_after */
	struct doc_set *whole; /* of all of them; NULL: not read yet */
};

/* All of them as one set, finished. -errno with err: then *files is as it was. */
int policy_files_parse(struct policy_files *files, const char *dir, const struct folder *folder,
		       struct doc_set **ret, struct err *e);
void policy_files_done(struct policy_files *files); /* a zeroed one is empty and valid */
