/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A network configuration as container runtimes read it, and the copy of one that has
 * our entry in its chain. PURE. The copy is the main list, member for member in its
 * order, unknown ones too; only "plugins" is longer, "cniVersions" may be shorter, and
 * a member of ours says whose copy it is:
 *	"sluice.dev/copy": {"of": "10-kindnet.conflist", "entries": 3}
 * entries counts what we wrote: an entry that stands behind them was put there by
 * somebody else, who chains himself into the first list he finds, and stays.
 */
#include <stdbool.h>
#include <stddef.h>

#include "json/json.h"

#define CONFLIST_TYPE "sluice"
#define CONFLIST_COPY "sluice.dev/copy"

/* .conf, .conflist, .json: what libcni looks at in a folder. */
bool conflist_name(const char *name);

/*
 * What a runtime makes of the file: a list (.conflist), or one plugin's configuration,
 * as a list of itself (others). -EINVAL when it would refuse it.
 */
int conflist_parse(const char *name, const char *text, size_t len, struct json **ret,
		   struct err *e);

/* Whether our plugin can be called in it: chains need 0.3.0, and we know up to 1.1.0. */
int conflist_chainable(const struct json *list, struct err *e);

/* Our entry; NULL: none. Another's list that delegates (multus) is not looked into. */
const struct json *conflist_entry(const struct json *list);

/* Multus: calls other lists by itself, so nothing is chained behind it. */
bool conflist_delegates(const struct json *list);
/* Multus's list calls our entry: in a delegate, or in the list of the file or name it is told. */
bool conflist_delegate_chained(const struct json *list, const char **ret_cluster_network);

/* The file whose copy it is; NULL: not one of ours. */
const char *conflist_copy_of(const struct json *list);

/*
 * The copy of list, whose file is name. Our entry comes last, unless the list has one:
 * that stays where and as it is. own, the copy of before (NULL: none), gives what others
 * appended to it.
 */
struct json *conflist_copy(const struct json *list, const char *name, const struct json *entry,
			   const struct json *own);

/* As a file. malloc'd. */
char *conflist_emit(const struct json *list);
