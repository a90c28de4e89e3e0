/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* By what a rule's counter is known, and the file of stateDir that says which one it is. */
#include "policy/compile.h"

#define COUNTERS_FILE "counters.json"

/*
 *	"EgressPolicy shop/payments bank"	a rule with a name
 *	"EgressPolicy shop/payments #2"		one without, by its place
 *	"ClusterEgressPolicy basics #default"	a default block
 * malloc'd.
 */
char *counter_name(const struct flat_rule *rule);
