"""Code that was changed without changing any result, by the hash of it and of what came before.

A fingerprint holds a hash of the code behind a result (code_identity.py). Whoever changes such code
so that everything that could be asked of it before still comes out with the same bytes, for example
to let it do more, adds a line here; docs/contributing.md says how. Then nothing that others have
computed is computed again.
"""

SAME_FILES: dict[str, str | None] = {
    # networks/temporal/rnn.py: the training of a GRU on a processor moved to a file of its own and
    # became quicker. All else has the same bytes; a GRU differs by the rounding that another number
    # of threads brings too, which is no reason to train those of others anew.
    "c8ee382d2b68e2b55772cd9d05e6080f2076f278737af0e11ac98cb7a775170c": (
        "c7baea52177042e0ea6eb7bbb6efc8e104b4b429964fb6495ebdaea605d783ee"
    ),
    # networks/temporal/blocks/gru.py, which came out of it
    "05233a0dc2d931092351d233717e69732d271084f32bb857025c371886e56651": None,
}
"""Hash of a file as it is, to that of the file whose results it gives; None: a file that came out
of such a one and is counted with it."""

SAME_RESULTS: dict[str, str] = {
    # Networks that read clips came beside those of images.
    # adabn efficientnet
    "12b09c8d6ddafc13f2d04924c0e9d9274594d1d51658960bb9b592f1d816ef90": (
        "087636095496a86ca2819cbfb8bc5da0e321282ebe8fe75b6e51b9c9562eef24"
    ),
    # adabn resnet
    "eb552e6b5f07ed2007297b293691ccc68d4de770999af660c58a09503f39e4d0": (
        "c5973c6a57bf15f22633384d9785bba2ddb261f2973e148ab0e3b50a5f78a54b"
    ),
    # features efficientnet
    "a7f19934185e0669121646303bab8c03594f88c2459d0aab4f940c96640ef0dd": (
        "79e291b4d938f208186eba95a55260173af1cebbe92f4516d8d28eb03352de45"
    ),
    # features resnet
    "b4527384c970eb2d95701b8088b452925ac75abf8b01523692b1e3258158d2f0": (
        "50bf36e0381aba01f5a0943ac0196028ba0a09e844952b891c47bb151fc265f4"
    ),
    # finetune efficientnet
    "4561ee3caf2bb3d656c230c3c9b50daa694f3a9c6caa65df9e4d662421f4d7d7": (
        "f627f790f397913fd31bb658691dfdbe9e11a50486bfa3f4afbea99f2a05aedb"
    ),
    # finetune resnet
    "f18f5f8ccee2587f32d5dded373837b2d26a0f56a672423d7cf1f92e08b7fa76": (
        "e635d401fdada35f1614b12ebd03efdb5451a1f9474c1b3400cf98290f476948"
    ),
    # The training of temporal networks came to offer more losses, schedules, averages, variants;
    # then features came to be mapped from their files and kept on a GPU, and single videos to be
    # passed on without a copy; recurrent networks came to attend.
    # train rnn
    "de62757403cd1ccb914094a593b92dddafd4f2a315fa0ee339d3af2c133f2448": (
        "119361db11f9fbf3fe2fd521e06fdd9d4d997469642554216af4a89c7d7ff283"
    ),
    # train tecno
    "8e03cb6f3295ef20dbf4443b120957d9cad2532c9952fd8ce71794b2aeb4c18c": (
        "f62e76a76e1bb4280fd7fe9d6794fb58a396f2a3ac8e8f587b8a465b0504ccff"
    ),
    # train linear
    "fa39b3254f4b2609d40f8b1f2e9d2453c4c6d6499960895ab40d35e6fedcdf70": (
        "cc6e3332d5e80dffeff8f7a765d3b7e0bfcad4118078676c55345ab2bee73ea9"
    ),
    # train mlp
    "d0ca675ebdc1c3909c0fa5753f471faf040f9e150c0a0d3c77e83ff66bf10d64": (
        "d14f4a2451b101b0a0062b56ad2cadb1c35de90cd083b853ec7dd36caf100377"
    ),
    # train mstcn
    "94e39d08d41289ed5d502c67a0d214364c58a95e1f137fb69e1ec9bb241ef704": (
        "0dbb79d826c4be01ae89182ece101d70ffe14eaaca114af8ca32e54bf16c81d2"
    ),
    # train mstcnpp
    "d0b4b9574b46bd4ee14e68b1c8ae18c20cbb94c88bd3768730f75c5b1459a302": (
        "4d0bfac08934b2a192240cd4b96d66695afd05e72128b47c8cc58cac0f38d91e"
    ),
    # train asformer
    "7ad16a5baa82541dd1c00bc73e374b11ef21505fb971dda36e89215749bd03db": (
        "6f0d98630b6952412cd5fc2f56110bdbee121f75e95c3aaee423d74b67998ea8"
    ),
    # train transsvnet
    "1c8b6faa8440515c6584d3e9d2ebdeb7553f264722123730ff57550ba339ec01": (
        "505fbe71224eb00b581bd813c8c974e897800bb2469284add5d16dbc771fc196"
    ),
    # train opera
    "3383ab1303ebc34b278304f1e9687a404040f27e0492b7792336a0bb3642667f": (
        "6bf35f49deaa584fba4a8119c9712963d11e5e5b1011f1701b844ac0986d8ffa"
    ),
}
"""Hash of the code as it is, to the hash under which its results are kept."""
