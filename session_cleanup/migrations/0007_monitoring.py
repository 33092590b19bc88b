import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('session_cleanup', '0006_series'),
    ]

    operations = [
        migrations.AddField(
            model_name='occurrencelog',
            name='over_at',
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name='over at'),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='sessionseries',
            name='ends_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='ends at'),
        ),
        migrations.AddIndex(
            model_name='occurrencelog',
            index=models.Index(fields=['over_at', 'id'], name='idx_occurrences_over'),
        ),
    ]
