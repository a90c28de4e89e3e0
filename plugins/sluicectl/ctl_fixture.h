/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For tests of the binary as a person calls it, without root and without a daemon. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "json/json.h"
#include "testkit/run_fixture.h"

/* Both streams into run_output; the exit status. */
static inline int ctl(const char *args)
{
	return run_shell("%s %s --policy-dir %s/p --state-dir %s/s --run-dir %s/r",
			 run_program("sluicectl"), args, run_folder, run_folder, run_folder);
}

static inline void put(const char *name, const char *text)
{
	__cleanup_free char *path = mem_printf("p/%s", name);

	run_put(path, text);
}

static inline int folder_make(void **state)
{
	return run_folder_make(state) || run_shell("mkdir p") ? -1 : 0;
}

#define GATEWAY                                                                                 \
	"apiVersion: sluice.dev/v1alpha1\nkind: EgressGateway\nmetadata: {name: office}\n"      \
	"spec: {addresses: [{range: 203.0.113.10}], nodeSelector: {matchLabels: {gw: 'yes'}}, " \
	"allowedNamespaces: {}}\n---\napiVersion: v1\nkind: Node\n"                             \
	"metadata: {name: gw1, labels: {gw: 'yes'}}\n"                                          \
	"status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}\n"
#define POLICY                                                            \
	"apiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"           \
	"metadata: {name: web, namespace: shop}\nspec:\n"                 \
	"  subject: {podSelector: {matchLabels: {app: web}}}\n  rules:\n" \
	"  - {name: bank, action: Allow, to: [{cidr: 198.51.100.0/24}],"  \
	" ports: [{protocol: TCP, port: 443}], via: {gateway: office}}\n" \
	"  default: {action: Deny}\n"
