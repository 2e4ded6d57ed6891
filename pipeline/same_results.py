"""Code that was changed without changing any result, by the hash of it and of what came before.

A fingerprint holds a hash of the code behind a result (code_identity.py). Whoever changes such code
so that everything that could be asked of it before still comes out with the same bytes, for example
to let it do more, adds a line here for each hash that changed; docs/contributing.md says how. Then
nothing that others have computed is computed again.
"""

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
    "3f3d62b759d62489a61ca2a9d2f9c0318c094ba0eab957c7e957fc7c886d81f3": (
        "79e291b4d938f208186eba95a55260173af1cebbe92f4516d8d28eb03352de45"
    ),
    # features resnet
    "c7f5cdb274041f91541ce8d62fb1d1a8a3c038c0b2ab3860dcc6b3a4a82d73ff": (
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
}
"""Hash of the code as it is, to the hash under which its results are kept."""
