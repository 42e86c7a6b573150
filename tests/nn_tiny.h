/* SPDX-License-Identifier: MIT
 * A small UNet2DModel and a temporary folder, shared by the tests of networks. */
#ifndef BRUME_TESTS_NN_TINY_H
#define BRUME_TESTS_NN_TINY_H

#include <unistd.h>

#include "brume/unet2d.h"
#include "check.h"

/* A name in the folder, which is made at the first call; one of four texts in turn. */
static inline const char *in_dir(const char *name)
{
    static char dir[] = "/tmp/brume-nn-XXXXXX", path[4][400];
    static int next, made;
    char *p = path[next++ % 4];
    if (!made) made = CHECK(mkdtemp(dir) != NULL);
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static inline void remove_dir(void)
{
    char command[600];
    snprintf(command, sizeof command, "rm -r '%s'", in_dir(""));
    CHECK_INT(system(command), 0);
}

/* Two levels, small widths. */
static inline brume_unet2d_config tiny(void)
{
    brume_unet2d_config c;
    brume_unet2d_config_default(&c);
    c.levels = 2;
    c.in_channels = 2;
    c.out_channels = 3;
    c.block_out_channels[0] = 8;
    c.block_out_channels[1] = 12;
    c.layers_per_block = 1;
    c.norm_num_groups = 4;
    c.attention_head_dim = 4;
    c.down_block_types[1] = c.up_block_types[0] = BRUME_BLOCK_ATTENTION;
    return c;
}

static inline void classes(brume_unet2d_config *c)
{
    c->class_embed_type = BRUME_CLASS_TABLE;
    c->num_class_embeds = 5;
}

#endif
