/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is sent to whoever is asked for help: one .tar.gz, bounded in size, out of which secrets
 * were taken (redact.h), with a list of what is in it and of what could not be read and why.
 */
#include "ctl.h"
#include "redact.h"

#define BUNDLE_FILE_MAX	 (8u << 20)
#define BUNDLE_TOTAL_MAX (64u << 20)

struct bundle {
	struct redactor redactor;
	struct tar *tar;
	struct json *contents;
	char *folder, *path; /* within the archive; of the archive, "-": standard output */
	size_t total, missing;
	bool json; /* in the end the path and the list are told as JSON */
};

/* path NULL: sluice-support-NAME-TIME.tar.gz here. -EEXIST: it is there. */
int bundle_open(struct bundle *b, const char *name, const char *path, struct err *e);
void bundle_add(struct bundle *b, const char *name, const char *text, size_t len);
/* JSON that a verb said, whole or as far as it came. */
struct captured;
void bundle_add_said(struct bundle *b, const char *name, const struct captured *c);
void bundle_add_json(struct bundle *b, const char *name, struct json *take_tree);
/* Why it is not there. */
void bundle_missing(struct bundle *b, const char *name, const char *why);
/* The list of it all, and the end. enum ctl_exit */
int bundle_close(struct bundle *b);
