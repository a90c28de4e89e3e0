/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Policies that are only looked at: of any folder or file, for no node in particular. What a
 * cluster is comes from the objects and the options; a machine's interfaces play no part.
 */
#include "ctl.h"
#include "policy/compile.h"
#include "source/folder.h"

/* Somebody who names the wrong folder should not read that all is well in it. */
void docs_warn_empty(const char *path, const struct folder *f);
int docs_read(const char *path, struct doc_set **ret, struct err *e);
/* What the objects of sets[0..n) are judged with. Borrows from ctl. */
struct node_view docs_node(const struct ctl *ctl, const struct doc_set *const *sets, size_t n);
