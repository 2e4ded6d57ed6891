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
    # The training of temporal networks came to offer more losses, schedules, averages, variants and
    # one answer per video.
    # train rnn
    "352d434c70f4f8a581adcccacfeace89588331f787789bf7b1cb72291dd2522b": (
        "119361db11f9fbf3fe2fd521e06fdd9d4d997469642554216af4a89c7d7ff283"
    ),
    # train tecno
    "36ee2d3005e01820145983c896d832cefbe92bb4a45ede6a87ab26c65941e9f5": (
        "f62e76a76e1bb4280fd7fe9d6794fb58a396f2a3ac8e8f587b8a465b0504ccff"
    ),
    # train linear
    "e693441df225bc1d1786b2f55844f041d4d266095f8882d2decace4b2e519275": (
        "cc6e3332d5e80dffeff8f7a765d3b7e0bfcad4118078676c55345ab2bee73ea9"
    ),
    # train mlp
    "a7aed51bf4b82ec8ba57a7bd2658932224a0ee75ae66b5c175b738f01d1154e0": (
        "d14f4a2451b101b0a0062b56ad2cadb1c35de90cd083b853ec7dd36caf100377"
    ),
    # train mstcn
    "e8ff30bf53bc8ed7e1bf1b781a33aa086b58e39ef4e348a9c2ee7de82ba2f10f": (
        "0dbb79d826c4be01ae89182ece101d70ffe14eaaca114af8ca32e54bf16c81d2"
    ),
    # train mstcnpp
    "5a84d4e24b7380d9960ad956eb66e8f1093422191f0f41b787efe6ca97adb3e6": (
        "4d0bfac08934b2a192240cd4b96d66695afd05e72128b47c8cc58cac0f38d91e"
    ),
    # train asformer
    "a50bfaa76ba4d69bb4cfbb805fd5343c85effadad56662f83d85c2497c8330c6": (
        "6f0d98630b6952412cd5fc2f56110bdbee121f75e95c3aaee423d74b67998ea8"
    ),
    # train transsvnet
    "b3aa11b63a67a9419368a4c124fd1ea466a300fe16f1ce7b5bad7d1a7baa5102": (
        "505fbe71224eb00b581bd813c8c974e897800bb2469284add5d16dbc771fc196"
    ),
    # train opera
    "c008c19e22582629fcdc0e9bbf3f9daf691d09ca0e88d6a8e7ca4cbb306071bf": (
        "6bf35f49deaa584fba4a8119c9712963d11e5e5b1011f1701b844ac0986d8ffa"
    ),
    # train tunes
    "e35d7e805dfa46dd7fecdb3fc7712e11c08a145e729ce913a2bf8a63e7349249": (
        "b4dc8299dc36c169e40d718a34496e2a0ad16a1a506aa04b11514b11543bfe82"
    ),
    # train conv_bilstm
    "b4755ef10b4ee00db54e3f2fc17d4c66b1a87c30ed639e9b193c527122ac6f71": (
        "e143fac9edd3641d5d2b98ad2d1698993b0ee78cb69d9a6c02cdac66ab8287b5"
    ),
    # train ssm
    "5f65f9bc35ca5ed6caacbc7df3a3e45559efbc9634a7c3bc1105284d8b99154e": (
        "fc66f33395c6acb806513103ac3da8b9164c8531e77a5196e7612f22cd652e82"
    ),
}
"""Hash of the code as it is, to the hash under which its results are kept."""
