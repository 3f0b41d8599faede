import json
from test.annex.site import Site


def test_try(site: Site) -> None:
    site.cloud.set_prices(
        spot={"m5.large": [[-86400, 0.03], [-3600, 0.04]]},
        on_demand={"m5.large": 0.096},
        gb_month=0.08,
        address_hour=0.005,
    )
    r = site.quote()
    print(r.get("ErrorString"))
    print(json.dumps(json.loads(r.get("Quote", "{}")), indent=1))
    print(site.operations())
    images = site.cloud.client("ec2", "AKIAEMULATEDTESTS000").describe_images()["Images"]
    print(len(images), images[0])
    assert 0
