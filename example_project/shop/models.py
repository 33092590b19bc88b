from django.db import models
from django.db.models import Q
from django.utils import timezone


class Cart(models.Model):
    session_key = models.CharField(max_length=40)
    is_ordered = models.BooleanField(default=False)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            # The policy "abandoned-carts" walks this one.
            models.Index(
                fields=["updated_at", "id"],
                condition=Q(is_ordered=False),
                name="shop_cart_abandoned",
            ),
        ]

    def __str__(self) -> str:
        return self.session_key


class CartItem(models.Model):
    cart = models.ForeignKey(Cart, models.CASCADE, related_name="items")
    product = models.CharField(max_length=100)
    quantity = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"


class Lead(models.Model):
    """Who may become a customer. The browser sessions of a lead name it by its key."""

    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name
