/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Addresses and prefixes as people write them; what is none is a mistake of the test. */
#include "inet/cidr.h"

struct addr addr_of(const char *text);
struct cidr cidr_of(const char *text);
