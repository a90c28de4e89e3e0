/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The command line of sluiced over its configuration file. */
#include <stdbool.h>

#include "config/daemon_conf.h"

enum mode { MODE_RUN, MODE_ONCE, MODE_CLEANUP, MODE_HELP, MODE_VERSION };

struct options {
	struct daemon_conf conf;
	enum mode mode;
};

/* 0, or -EINVAL with what is wrong. --config is read first, whatever its place. */
int options_parse(struct options *o, int argc, char **argv, struct err *e);
void options_done(struct options *o);
extern const char options_help[];
