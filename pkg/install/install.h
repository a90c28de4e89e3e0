/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Our list in a folder of network configurations: written once (sluiced install), judged
 * (status, readiness), taken out (sluiced uninstall). keeper.h keeps it current.
 */
#include "config/daemon_conf.h"
#include "install/chain.h"

/* How long a main list that vanished may take to come back before another is taken. */
#define INSTALL_GRACE_MS 3000

/*
 * Our entry where nobody gave one: what differs from the plugin's defaults, the pods'
 * annotations, and the namespace that Sluice itself runs in (NULL: none) as exempt.
 */
struct json *install_entry(const struct daemon_conf *c, const char *namespace);

struct install_report {
	char *text; /* what was written, or would be; NULL: it was so already */
	char main[256];
	struct err why; /* code 0: in order; else what is waited for */
};

/* conf: its cni_conf_dir must be set. dry: writes nothing. Waits INSTALL_GRACE_MS at most. */
int install_chain(const struct daemon_conf *conf, bool dry, struct install_report *ret,
		  struct err *e);

struct uninstall_report {
	bool removed, foreign; /* foreign: a file of that name that we did not write stays */
	char named[256];       /* lists that call our plugin without us, "" = none */
	char left[256];	       /* the list that comes first now, "" = none */
};

int uninstall_chain(const struct daemon_conf *conf, bool dry, struct uninstall_report *ret,
		    struct err *e);

/* Whether new pods go through our plugin: the list and the binary, as the runtime finds them. */
void install_in_force(const struct daemon_conf *conf, struct chain_verdict *ret);
