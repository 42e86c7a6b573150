/* SPDX-License-Identifier: MIT
 * Tests of tokenizers: is libutf8proc in this build? */
#ifndef BRUME_TESTS_CHECK_TEXT_H
#define BRUME_TESTS_CHECK_TEXT_H

#include "brume/tokenizer.h"
#include "check.h"

/* 0 after a counted skip in a build without it, which must say so itself. */
static inline int check_has_text(void)
{
    brume_tokenizer *t;
    int32_t ids[8];
    if (!CHECK_OK(brume_tokenizer_new(NULL, 0, 8, NULL, &t))) return 0;
    const int missing = brume_tokenizer_encode(t, "a", ids, NULL) == BRUME_E_UNSUPPORTED;
    brume_tokenizer_free(t);
    if (missing && CHECK(strstr(brume_error(), "libutf8proc"))) check_skip("texts: no libutf8proc");
    return !missing;
}

#endif
