/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The same questions, asked by way of `kubectl get --raw`: for kubeconfigs with what our own client
 * does not do, above all the credential plug-ins of clouds. A process for each page, but every
 * kubeconfig that kubectl takes.
 */
#include "api.h"

/* Answers one, its code and e included. */
void by_kubectl(const struct ctl *ctl, struct api_ask *k);
bool kubectl_is_there(void);
/* Of the context: "-ojsonpath={..namespace}". NULL: nothing. Malloc'd. */
char *kubectl_config(const struct ctl *ctl, const char *jsonpath);
